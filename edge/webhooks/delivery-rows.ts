/**
 * Webhook deliveries in a shard's SQLite: one row per event owed to an endpoint, with what its tries met. A row
 * outlives restarts; its id is the event's `webhook-id` in every try.
 */
import type { JobId } from "#contract/job-id.ts";
import type { Attempt, Verdict } from "./retry-schedule.ts";
import type { WebhookEvent } from "./webhook.ts";

export const deliveryStates = ["pending", "delivered", "disabled", "exhausted"] as const;
type DeliveryState = (typeof deliveryStates)[number];

export type Delivery = {
  id: string;
  jobId: JobId;
  event: WebhookEvent;
  /** When the event happened, ms since the epoch. */
  occurredAt: number;
  /** Made so far. */
  tries: number;
  /** Whose it is: tries at once are counted by it. */
  host: string;
};

export type NewDelivery = Omit<Delivery, "tries" | "host"> & { url: string; dueAt: number };

/** A try as it is remembered: one of `status` and `error` is null. */
export type LoggedAttempt = { at: number; status: number | null; error: string | null };

export type DeliveryLog = Omit<Delivery, "jobId" | "host"> & {
  url: string;
  state: DeliveryState;
  /** Of the next try, ms since the epoch; null: there is none. */
  dueAt: number | null;
  attempts: LoggedAttempt[];
};

const schema = `
  CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT PRIMARY KEY, job_id TEXT NOT NULL, event TEXT NOT NULL, occurred_at INTEGER NOT NULL,
    tries INTEGER NOT NULL, state TEXT NOT NULL, due_at INTEGER, last_met TEXT
  );
  CREATE INDEX IF NOT EXISTS deliveries_by_due ON deliveries (due_at);
  CREATE INDEX IF NOT EXISTS deliveries_by_job ON deliveries (job_id);
`;

/** Columns that rows of the first version lack; `attempts` is a JSON list. */
const laterColumns = {
  url: "TEXT NOT NULL DEFAULT ''",
  host: "TEXT NOT NULL DEFAULT ''",
  attempts: "TEXT NOT NULL DEFAULT '[]'",
};
/** Of one delivery, the latest. */
const attemptsKept = 20;

type DeliveryRow = {
  id: string;
  jobId: JobId;
  event: WebhookEvent;
  occurredAt: number;
  tries: number;
  host: string;
};
type LogRow = Omit<DeliveryLog, "attempts"> & { attempts: string };

function logged(attempt: Attempt, at: number): LoggedAttempt {
  return attempt.kind === "answered"
    ? { at, status: attempt.status, error: null }
    : { at, status: null, error: attempt.reason };
}

export class DeliveryRows {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(schema);
    const columns = sql.exec<{ name: string }>("SELECT name FROM pragma_table_info('deliveries')");
    const there = new Set(columns.toArray().map(({ name }) => name));
    for (const [name, type] of Object.entries(laterColumns)) {
      if (!there.has(name)) sql.exec(`ALTER TABLE deliveries ADD COLUMN ${name} ${type}`);
    }
  }

  add({ id, jobId, event, occurredAt, url, dueAt }: NewDelivery): void {
    this.#sql.exec(
      `INSERT INTO deliveries (id, job_id, event, occurred_at, tries, state, due_at, url, host)
       VALUES (?, ?, ?, ?, 0, 'pending', ?, ?, ?)`,
      id,
      jobId,
      event,
      occurredAt,
      dueAt,
      url,
      new URL(url).host,
    );
  }

  /**
   * Of one job, one at a time, in the order of its events.
   * @param busyJobs of which a delivery is being tried
   * @param busyHosts hosts that are not to be tried now
   * @returns what is to be tried next, at once or later
   */
  next(
    busyJobs: readonly JobId[],
    busyHosts: readonly string[],
  ): { delivery: Delivery; dueAt: number } | undefined {
    const [row] = this.#sql
      .exec<DeliveryRow & { dueAt: number }>(
        `SELECT id, job_id AS jobId, event, occurred_at AS occurredAt, tries, host, due_at AS dueAt FROM deliveries
         WHERE due_at IS NOT NULL AND job_id NOT IN (${marks(busyJobs)}) AND host NOT IN (${marks(busyHosts)})
         ORDER BY due_at, rowid LIMIT 1`,
        ...busyJobs,
        ...busyHosts,
      )
      .toArray();
    if (row === undefined) return undefined;
    const { dueAt, ...delivery } = row;
    return { delivery, dueAt };
  }

  nextDue(): number | null {
    const statement = "SELECT min(due_at) AS at FROM deliveries";
    return this.#sql.exec<{ at: number | null }>(statement).one().at;
  }

  /** @param at when the try ended, ms since the epoch */
  record(delivery: Delivery, attempt: Attempt, verdict: Verdict, at: number): void {
    const again = verdict.kind === "again";
    this.#sql.exec(
      "UPDATE deliveries SET tries = tries + 1, state = ?, due_at = ?, attempts = ? WHERE id = ?",
      again ? "pending" : verdict.kind,
      again ? verdict.at : null,
      JSON.stringify([...this.#attempts(delivery.id), logged(attempt, at)].slice(-attemptsKept)),
      delivery.id,
    );
    if (verdict.kind === "disabled") this.#giveUp(delivery.jobId);
  }

  #attempts(id: string): LoggedAttempt[] {
    const [row] = this.#sql
      .exec<{ attempts: string }>("SELECT attempts FROM deliveries WHERE id = ?", id)
      .toArray();
    return JSON.parse(row?.attempts ?? "[]");
  }

  /** Of one job, in the order of its events. */
  ofJob(jobId: JobId): DeliveryLog[] {
    return this.#sql
      .exec<LogRow>(
        `SELECT id, event, occurred_at AS occurredAt, tries, url, state, due_at AS dueAt, attempts FROM deliveries
         WHERE job_id = ? ORDER BY occurred_at, rowid`,
        jobId,
      )
      .toArray()
      .map((row) => ({ ...row, attempts: JSON.parse(row.attempts) }));
  }

  /** Whether an endpoint of this job asked never to be called again. */
  isDisabled(jobId: JobId): boolean {
    const statement =
      "SELECT 1 AS found FROM deliveries WHERE job_id = ? AND state = 'disabled' LIMIT 1";
    return this.#sql.exec<{ found: number }>(statement, jobId).toArray().length > 0;
  }

  #giveUp(jobId: JobId): void {
    this.#sql.exec(
      "UPDATE deliveries SET state = 'disabled', due_at = NULL WHERE job_id = ? AND due_at IS NOT NULL",
      jobId,
    );
  }

  remove(jobId: JobId): void {
    this.#sql.exec("DELETE FROM deliveries WHERE job_id = ?", jobId);
  }
}

function marks(values: readonly string[]): string {
  return values.map(() => "?").join(", ");
}
