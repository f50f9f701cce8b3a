/**
 * Computations of jobs in a shard's SQLite: what is needed to send one again, to know when it was last heard of, and
 * how far its events have come. A row lives from a computation's first job until its end, or until the worker's word
 * where it was given up.
 */
import type { JobId } from "#contract/job-id.ts";
import type { Computation } from "./computation-table.ts";

type ComputationRow = {
  id: JobId;
  tenant: string;
  request_key: string | null;
  sent: number;
  named: number;
  resent: number;
  quiet_since: number;
  given_up: number;
  started: number;
  sequence: number;
};

/** A computation as it lies in its row, without its message. */
export type StoredComputation = Pick<
  Computation,
  "id" | "tenant" | "requestKey" | "status" | "sequence" | "named" | "resent" | "quietSince"
> & { sent: boolean; givenUp: boolean };

/** Over a database that `createTables` has prepared. */
export class ComputationRows {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  all(): StoredComputation[] {
    const rows = this.#sql.exec<ComputationRow>(
      `SELECT id, tenant, request_key, sent, named, resent, quiet_since, given_up, started, sequence
       FROM computations ORDER BY quiet_since`,
    );
    return rows.toArray().map((row) => ({
      id: row.id,
      tenant: row.tenant,
      requestKey: row.request_key,
      status: row.started === 1 ? "processing" : "starting",
      sequence: row.sequence,
      sent: row.sent === 1,
      named: row.named === 1,
      resent: row.resent === 1,
      quietSince: row.quiet_since,
      givenUp: row.given_up === 1,
    }));
  }

  add(computation: Computation): void {
    this.#sql.exec(
      `INSERT OR IGNORE INTO computations
         (id, tenant, request_key, message, sent, named, resent, quiet_since, given_up, started, sequence)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)`,
      computation.id,
      computation.tenant,
      computation.requestKey,
      computation.message,
      Number(computation.sending === "sent"),
      Number(computation.named),
      Number(computation.resent),
      computation.quietSince,
      Number(computation.status === "processing"),
      computation.sequence,
    );
  }

  /** @returns the text for the queue; null where it was too large to keep, or the computation has no row */
  messageOf(id: string): string | null {
    const rows = this.#sql.exec<{ message: string | null }>(
      "SELECT message FROM computations WHERE id = ?",
      id,
    );
    return rows.toArray()[0]?.message ?? null;
  }

  markSent(id: string): void {
    this.#sql.exec("UPDATE computations SET sent = 1 WHERE id = ?", id);
  }

  /** Writes down what has changed in how it was heard of. */
  keep(computation: Computation): void {
    const { id, named, resent, quietSince, sending, givenUp, status, sequence } = computation;
    this.#sql.exec(
      `UPDATE computations SET named = ?, resent = ?, quiet_since = ?, sent = ?, given_up = ?, started = ?, sequence = ?
       WHERE id = ?`,
      Number(named),
      Number(resent),
      quietSince,
      Number(sending === "sent"),
      Number(givenUp !== null),
      Number(status === "processing"),
      sequence,
      id,
    );
  }

  remove(id: string): void {
    this.#sql.exec("DELETE FROM computations WHERE id = ?", id);
  }

  hasUnsent(): boolean {
    const statement = "SELECT 1 AS found FROM computations WHERE sent = 0 LIMIT 1";
    return this.#sql.exec<{ found: number }>(statement).toArray().length > 0;
  }
}
