/**
 * Tickets in a shard's SQLite: jobs somebody can come back for. Their computations are work-rows.ts. Nothing of a call that
 * is answered while it waits is written here. JSON columns are written and read by this file alone.
 */
import type { PublicError } from "#contract/errors.ts";
import type { JobId } from "#contract/job-id.ts";
import type { Task } from "#contract/tasks.ts";
import type { Webhook } from "../webhooks/webhook.ts";
import type { JobHead, JobStatus, StoredResult, Ticket } from "./shard-protocol.ts";

type TicketRow = {
  id: JobId;
  work_id: JobId;
  tenant: string;
  request_key: string | null;
  task: Task;
  model: string;
  rendering: string;
  warnings: string;
  webhook: string | null;
  status: JobStatus;
  sequence: number;
  created_at: number;
  finished_at: number | null;
  result: string | null;
  result_reference: string | null;
  error: string | null;
};

const schema = `
  CREATE TABLE IF NOT EXISTS tickets (
    id TEXT PRIMARY KEY, work_id TEXT NOT NULL, tenant TEXT NOT NULL, request_key TEXT,
    task TEXT NOT NULL, model TEXT NOT NULL, rendering TEXT NOT NULL, warnings TEXT NOT NULL, webhook TEXT,
    status TEXT NOT NULL, sequence INTEGER NOT NULL, created_at INTEGER NOT NULL, finished_at INTEGER,
    result TEXT, result_reference TEXT, error TEXT
  );
  CREATE INDEX IF NOT EXISTS tickets_by_work ON tickets (work_id);
  CREATE INDEX IF NOT EXISTS tickets_by_end ON tickets (finished_at);
`;

/** No delivery (../webhooks/delivery-rows.ts) of the ticket is still to be tried: each try is made of the ticket. */
const nobodyIsToBeTold = `NOT EXISTS (
  SELECT 1 FROM deliveries WHERE deliveries.job_id = tickets.id AND deliveries.due_at IS NOT NULL
)`;

/** A job as it lies in its row. */
export type StoredTicket = {
  ticket: Ticket;
  workId: JobId;
  tenant: string;
  requestKey: string | null;
  webhook: Webhook | null;
  /** Of the last event that counted. */
  sequence: number;
};

export type NewTicket = {
  id: JobId;
  job: JobHead;
  webhook: Webhook | null;
  workId: JobId;
  status: JobStatus;
  sequence: number;
};

export type Outcome =
  | { status: "succeeded"; result: StoredResult }
  | { status: "failed"; error: PublicError }
  | { status: "canceled" };

function parse<T>(json: string | null): T | null {
  return json === null ? null : JSON.parse(json);
}

/** Text is kept as it is, not as JSON in JSON: a row holds 2 MB. */
function resultOf({ result, result_reference: reference }: TicketRow): StoredResult | null {
  if (result !== null) return { kind: "inline", json: result };
  return reference === null ? null : { kind: "reference", reference: JSON.parse(reference) };
}

function fromRow(row: TicketRow): StoredTicket {
  return {
    ticket: {
      id: row.id,
      status: row.status,
      task: row.task,
      model: row.model,
      rendering: JSON.parse(row.rendering),
      warnings: JSON.parse(row.warnings),
      createdAt: row.created_at,
      finishedAt: row.finished_at,
      progress: null,
      result: resultOf(row),
      error: parse(row.error),
    },
    workId: row.work_id,
    tenant: row.tenant,
    requestKey: row.request_key,
    webhook: parse(row.webhook),
    sequence: row.sequence,
  };
}

export class TicketRows {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(schema);
  }

  #select(condition: string, ...bindings: (string | number)[]): StoredTicket[] {
    const rows = this.#sql.exec<TicketRow>(`SELECT * FROM tickets WHERE ${condition}`, ...bindings);
    return rows.toArray().map(fromRow);
  }

  find(id: string): StoredTicket | undefined {
    return this.#select("id = ?", id)[0];
  }

  ofWork(workId: string): StoredTicket[] {
    return this.#select("work_id = ? AND finished_at IS NULL", workId);
  }

  open(): StoredTicket[] {
    return this.#select("finished_at IS NULL ORDER BY created_at");
  }

  add(added: NewTicket): Ticket {
    const { id, job, webhook, workId, status, sequence } = added;
    this.#sql.exec(
      `INSERT INTO tickets (id, work_id, tenant, request_key, task, model, rendering, warnings, webhook, status, sequence,
         created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      id,
      workId,
      job.tenant,
      job.requestKey,
      job.task,
      job.model,
      JSON.stringify(job.rendering),
      JSON.stringify(job.warnings),
      webhook === null ? null : JSON.stringify(webhook),
      status,
      sequence,
      job.createdAt,
    );
    const { task, model, rendering, warnings, createdAt } = job;
    const unfinished = { finishedAt: null, progress: null, result: null, error: null };
    return { id, status, task, model, rendering, warnings, createdAt, ...unfinished };
  }

  markStarted(workId: string, sequence: number): void {
    this.#sql.exec(
      `UPDATE tickets SET status = 'processing', sequence = ?
       WHERE work_id = ? AND finished_at IS NULL`,
      sequence,
      workId,
    );
  }

  finish(id: string, outcome: Outcome, now: number): void {
    const result = outcome.status === "succeeded" ? outcome.result : null;
    const error = outcome.status === "failed" ? JSON.stringify(outcome.error) : null;
    this.#sql.exec(
      `UPDATE tickets SET status = ?, finished_at = ?, result = ?, result_reference = ?, error = ?
       WHERE id = ?`,
      outcome.status,
      now,
      result?.kind === "inline" ? result.json : null,
      result?.kind === "reference" ? JSON.stringify(result.reference) : null,
      error,
      id,
    );
  }

  /**
   * Removes tickets that ended before `before` (ms since the epoch) and of which nobody is to be told any more; an open one may run
   * for as long as it takes.
   */
  purge(before: number): JobId[] {
    return this.#sql
      .exec<{ id: JobId }>(
        `DELETE FROM tickets WHERE finished_at < ? AND ${nobodyIsToBeTold} RETURNING id`,
        before,
      )
      .toArray()
      .map(({ id }) => id);
  }

  /** When the first of those that ended, and of which nobody is to be told any more, did so; null: none has. */
  oldest(): number | null {
    const statement = `SELECT min(finished_at) AS at FROM tickets WHERE ${nobodyIsToBeTold}`;
    return this.#sql.exec<{ at: number | null }>(statement).one().at;
  }
}
