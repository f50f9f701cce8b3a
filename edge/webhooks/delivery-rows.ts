/**
 * Webhook deliveries in a shard's SQLite: one row per event owed to an endpoint, with what its tries met. A row outlives
 * restarts; its id is the event's `webhook-id` in every try.
 */
import type { JobId } from "#contract/job-id.ts";
import type { Attempt, Verdict } from "./retry-schedule.ts";
import type { WebhookEvent } from "./webhook.ts";

export type Delivery = {
  id: string;
  jobId: JobId;
  event: WebhookEvent;
  /** When the event happened, ms since the epoch. */
  occurredAt: number;
  /** Made so far. */
  tries: number;
};

const schema = `
  CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT PRIMARY KEY, job_id TEXT NOT NULL, event TEXT NOT NULL, occurred_at INTEGER NOT NULL,
    tries INTEGER NOT NULL, state TEXT NOT NULL, due_at INTEGER, last_met TEXT
  );
  CREATE INDEX IF NOT EXISTS deliveries_by_due ON deliveries (due_at);
  CREATE INDEX IF NOT EXISTS deliveries_by_job ON deliveries (job_id);
`;

function described(attempt: Attempt): string {
  return attempt.kind === "answered" ? `status ${attempt.status}` : attempt.reason;
}

export class DeliveryRows {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(schema);
  }

  add(delivery: Omit<Delivery, "tries">, dueAt: number): void {
    this.#sql.exec(
      "INSERT INTO deliveries VALUES (?, ?, ?, ?, 0, 'pending', ?, NULL)",
      delivery.id,
      delivery.jobId,
      delivery.event,
      delivery.occurredAt,
      dueAt,
    );
  }

  due(now: number, countMax: number): Delivery[] {
    return this.#sql
      .exec<Delivery>(
        `SELECT id, job_id AS jobId, event, occurred_at AS occurredAt, tries FROM deliveries
         WHERE due_at <= ? ORDER BY due_at LIMIT ?`,
        now,
        countMax,
      )
      .toArray();
  }

  nextDue(): number | null {
    const statement = "SELECT min(due_at) AS at FROM deliveries";
    return this.#sql.exec<{ at: number | null }>(statement).one().at;
  }

  record(delivery: Delivery, attempt: Attempt, verdict: Verdict): void {
    const again = verdict.kind === "again";
    this.#sql.exec(
      "UPDATE deliveries SET tries = tries + 1, state = ?, due_at = ?, last_met = ? WHERE id = ?",
      again ? "pending" : verdict.kind,
      again ? verdict.at : null,
      described(attempt),
      delivery.id,
    );
    if (verdict.kind === "disabled") this.#giveUp(delivery.jobId);
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
