/**
 * Which creations of jobs were answered, so that one that is sent again makes no second job: told by its
 * `Idempotency-Key`, or, of clients that send none, by its body where the client says that it tries again.
 */
import type { TuningJobId } from "#contract/training/tuning-job.ts";

/** How a creation was sent. */
export type Sending = {
  /** Null: it was sent without. */
  key: string | null;
  /** Of what was asked for: sha256 in hex. */
  digest: string;
  /** The client says that it sent the same before, and had no answer or one that passes. */
  isRetry: boolean;
};

/** `conflict`: the key was sent with something else. */
export type CreatedBefore = { job: TuningJobId } | "conflict";

/** Of a key. */
const keptMs = 24 * 3_600_000;
/** Of a body: as long as OpenAI's clients wait for an answer before they try again, and some more. */
const retriedMs = 15 * 60_000;
/** The oldest go first. */
const keptMax = 1_000;

const table = `
  CREATE TABLE IF NOT EXISTS creations (
    job TEXT PRIMARY KEY, key TEXT, digest TEXT NOT NULL, at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS creations_at ON creations (at);
`;

type Row = { job: TuningJobId; digest: string };

export class CreatedJobs {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(table);
  }

  /** @returns null: it is new */
  find({ key, digest, isRetry }: Sending, now: number): CreatedBefore | null {
    if (key !== null) {
      const keyed = this.#row("key = ? AND at > ?", key, now - keptMs);
      if (keyed === undefined) return null;
      return keyed.digest === digest ? { job: keyed.job } : "conflict";
    }
    if (!isRetry) return null;
    const same = this.#row("key IS NULL AND digest = ? AND at > ?", digest, now - retriedMs);
    return same === undefined ? null : { job: same.job };
  }

  add(job: TuningJobId, { key, digest }: Sending, now: number): void {
    this.#sql.exec(
      "INSERT INTO creations (job, key, digest, at) VALUES (?, ?, ?, ?)",
      job,
      key,
      digest,
      now,
    );
    this.#sql.exec(
      `DELETE FROM creations WHERE at <= ?1 OR job IN (
         SELECT job FROM creations ORDER BY at DESC LIMIT -1 OFFSET ?2
       )`,
      now - keptMs,
      keptMax,
    );
  }

  /** The same was refused since: what is tried again is that, and not what was created before it. */
  refused({ key, digest }: Sending): void {
    if (key === null)
      this.#sql.exec("DELETE FROM creations WHERE key IS NULL AND digest = ?", digest);
  }

  #row(where: string, ...values: (string | number)[]): Row | undefined {
    const sql = `SELECT job, digest FROM creations WHERE ${where} ORDER BY at DESC LIMIT 1`;
    return this.#sql.exec<Row>(sql, ...values).toArray()[0];
  }
}
