/**
 * Jobs in a shard's SQLite: those that somebody can come back for. How far an open one is, is told of its computation
 * (computation-rows.ts). Nothing of a call that is answered while it waits is written here.
 */
import type { PublicError } from "#contract/errors.ts";
import type { JobId } from "#contract/job-id.ts";
import type { Task } from "#contract/tasks.ts";
import type { Job, JobStatus } from "../answers/job.ts";
import type { StoredResult } from "../storage/stored-result.ts";
import type { Webhook } from "../webhooks/webhook.ts";
import type { JobHead } from "./shard-protocol.ts";

type JobRow = {
  id: JobId;
  computation_id: JobId;
  tenant: string;
  request_key: string | null;
  task: Task;
  model: string;
  rendering: string;
  warnings: string;
  webhook: string | null;
  status: JobStatus;
  created_at: number;
  finished_at: number | null;
  result: string | null;
  result_reference: string | null;
  error: string | null;
  told: string | null;
};

/** No delivery (../webhooks/delivery-rows.ts) of the job is still to be tried: each try is made of the job. */
const nobodyIsToBeTold = `NOT EXISTS (
  SELECT 1 FROM deliveries WHERE deliveries.job_id = jobs.id AND deliveries.due_at IS NOT NULL
)`;

/** A job as it lies in its row. */
export type StoredJob = {
  /** While it is open, its status is `starting` here: its computation knows better. */
  job: Job;
  computationId: JobId;
  tenant: string;
  webhook: Webhook | null;
};

export type NewJob = {
  id: JobId;
  head: JobHead;
  webhook: Webhook | null;
  computationId: JobId;
};

export type Outcome =
  | { status: "succeeded"; result: StoredResult }
  | { status: "failed"; error: PublicError }
  | { status: "canceled" };

function parse<T>(json: string | null): T | null {
  return json === null ? null : JSON.parse(json);
}

/** The document is kept as it is, not as JSON in JSON: a row holds 2 MB. */
function resultOf({ result, result_reference: reference }: JobRow): StoredResult | null {
  if (result !== null) return { kind: "inline", document: result };
  return reference === null ? null : { kind: "reference", reference: JSON.parse(reference) };
}

function fromRow(row: JobRow): StoredJob {
  return {
    job: {
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
      told: parse(row.told),
    },
    computationId: row.computation_id,
    tenant: row.tenant,
    webhook: parse(row.webhook),
  };
}

/** Over a database that `createTables` has prepared. */
export class JobRows {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  #select(condition: string, ...bindings: (string | number)[]): StoredJob[] {
    const rows = this.#sql.exec<JobRow>(`SELECT * FROM jobs WHERE ${condition}`, ...bindings);
    return rows.toArray().map(fromRow);
  }

  find(id: string): StoredJob | undefined {
    return this.#select("id = ?", id)[0];
  }

  ofComputation(computationId: string): StoredJob[] {
    return this.#select("computation_id = ? AND finished_at IS NULL", computationId);
  }

  open(): StoredJob[] {
    return this.#select("finished_at IS NULL ORDER BY created_at");
  }

  add({ id, head, webhook, computationId }: NewJob): Job {
    const { task, model, rendering, warnings, createdAt } = head;
    const status = "starting";
    this.#sql.exec(
      `INSERT INTO jobs
         (id, computation_id, tenant, request_key, task, model, rendering, warnings, webhook, status, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      id,
      computationId,
      head.tenant,
      head.requestKey,
      task,
      model,
      JSON.stringify(rendering),
      JSON.stringify(warnings),
      webhook === null ? null : JSON.stringify(webhook),
      status,
      createdAt,
    );
    const unfinished = {
      finishedAt: null,
      progress: null,
      result: null,
      error: null,
      told: null,
    };
    return { id, status, task, model, rendering, warnings, createdAt, ...unfinished };
  }

  finish(id: string, outcome: Outcome & Pick<Job, "told">, now: number): void {
    const result = outcome.status === "succeeded" ? outcome.result : null;
    const error = outcome.status === "failed" ? JSON.stringify(outcome.error) : null;
    this.#sql.exec(
      `UPDATE jobs SET status = ?, finished_at = ?, result = ?, result_reference = ?, error = ?, told = ?
       WHERE id = ?`,
      outcome.status,
      now,
      result?.kind === "inline" ? result.document : null,
      result?.kind === "reference" ? JSON.stringify(result.reference) : null,
      error,
      outcome.told === null ? null : JSON.stringify(outcome.told),
      id,
    );
  }

  /**
   * Removes jobs that ended before `before` (ms since the epoch) and of which nobody is to be told any more; an open
   * one may run for as long as it takes.
   */
  purge(before: number): JobId[] {
    return this.#sql
      .exec<{ id: JobId }>(
        `DELETE FROM jobs WHERE finished_at < ? AND ${nobodyIsToBeTold} RETURNING id`,
        before,
      )
      .toArray()
      .map(({ id }) => id);
  }

  /** When the first of those that ended, and of which nobody is to be told any more, did so; null: none has. */
  oldest(): number | null {
    const statement = `SELECT min(finished_at) AS at FROM jobs WHERE ${nobodyIsToBeTold}`;
    return this.#sql.exec<{ at: number | null }>(statement).one().at;
  }
}
