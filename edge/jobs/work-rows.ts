/**
 * Computations of tickets in a shard's SQLite: what is needed to send one again and to know when it was last heard of.
 * A row lives from a computation's first ticket until its end, or until the worker's word where it was given up.
 */
import type { JobId } from "#contract/job-id.ts";
import type { Work } from "./work-table.ts";

type WorkRow = {
  id: JobId;
  tenant: string;
  request_key: string | null;
  sent: number;
  named: number;
  resent: number;
  quiet_since: number;
  given_up: number;
};

const schema = `
  CREATE TABLE IF NOT EXISTS works (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, request_key TEXT, message TEXT, sent INTEGER NOT NULL,
    named INTEGER NOT NULL, resent INTEGER NOT NULL, quiet_since INTEGER NOT NULL, given_up INTEGER NOT NULL
  );
`;

/** A computation as it lies in its row, without its message. */
export type StoredWork = Pick<
  Work,
  "id" | "tenant" | "requestKey" | "named" | "resent" | "quietSince"
> & { sent: boolean; givenUp: boolean };

/** Over the database of a `TicketRows`, made before. */
export class WorkRows {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(schema);
    this.#takeOver();
  }

  /** Tickets once had the message of their computation until it was sent. */
  #takeOver(): void {
    const columns = this.#sql.exec<{ name: string }>("PRAGMA table_info(tickets)").toArray();
    if (!columns.some(({ name }) => name === "message")) return;
    this.#sql.exec(`
      INSERT OR IGNORE INTO works
        SELECT work_id, tenant, request_key, message, message IS NULL, status = 'processing', 0, unixepoch() * 1000, 0
        FROM tickets WHERE finished_at IS NULL;
      ALTER TABLE tickets DROP COLUMN message;
      DROP INDEX IF EXISTS tickets_by_age;
    `);
  }

  all(): StoredWork[] {
    const columns = "id, tenant, request_key, sent, named, resent, quiet_since, given_up";
    const rows = this.#sql.exec<WorkRow>(`SELECT ${columns} FROM works ORDER BY quiet_since`);
    return rows.toArray().map((row) => ({
      id: row.id,
      tenant: row.tenant,
      requestKey: row.request_key,
      sent: row.sent === 1,
      named: row.named === 1,
      resent: row.resent === 1,
      quietSince: row.quiet_since,
      givenUp: row.given_up === 1,
    }));
  }

  add(work: Work): void {
    this.#sql.exec(
      "INSERT OR IGNORE INTO works VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
      work.id,
      work.tenant,
      work.requestKey,
      work.message,
      Number(work.sending === "sent"),
      Number(work.named),
      Number(work.resent),
      work.quietSince,
    );
  }

  /** @returns the text for the queue; null where it was too large to keep, or the work has no row */
  messageOf(id: string): string | null {
    const rows = this.#sql.exec<{ message: string | null }>(
      "SELECT message FROM works WHERE id = ?",
      id,
    );
    return rows.toArray()[0]?.message ?? null;
  }

  markSent(id: string): void {
    this.#sql.exec("UPDATE works SET sent = 1 WHERE id = ?", id);
  }

  /** Writes down what has changed in how it was heard of. */
  keep({ id, named, resent, quietSince, sending, givenUp }: Work): void {
    this.#sql.exec(
      "UPDATE works SET named = ?, resent = ?, quiet_since = ?, sent = ?, given_up = ? WHERE id = ?",
      Number(named),
      Number(resent),
      quietSince,
      Number(sending === "sent"),
      Number(givenUp !== null),
      id,
    );
  }

  remove(id: string): void {
    this.#sql.exec("DELETE FROM works WHERE id = ?", id);
  }

  hasUnsent(): boolean {
    const statement = "SELECT 1 AS found FROM works WHERE sent = 0 LIMIT 1";
    return this.#sql.exec<{ found: number }>(statement).toArray().length > 0;
  }
}
