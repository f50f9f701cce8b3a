/** One key's tuning jobs in SQLite, each a document; `at_rest` and `metadata` stand beside it to be looked for. */
import type { TuningJobId } from "#contract/training/tuning-job.ts";
import { isAtRest, isOver } from "./job-course.ts";
import type { Metadata, TuningJob } from "./tuning-job.ts";

/**
 * `number`: the order in which they came. `at_rest`: nothing is to be done about it any more. `over` is asked by nobody
 * any more, and has to be written where the table was made before that.
 */
const tables = `
  CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    over INTEGER NOT NULL,
    at_rest INTEGER NOT NULL,
    metadata TEXT,
    document TEXT NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS jobs_to_do ON jobs (at_rest);
`;

export type TuningPage = {
  limit: number;
  /** Id of the job before the first; null: none. */
  after: TuningJobId | null;
  /** Those that have all of these; null: those that have none at all. */
  metadata: Metadata | null;
};

type JobRow = { document: string };

function jobOf({ document }: JobRow): TuningJob {
  return JSON.parse(document);
}

export class TuningRows {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(tables);
  }

  add(job: TuningJob): void {
    this.#sql.exec(
      "INSERT INTO jobs (id, over, at_rest, metadata, document) VALUES (?, 0, 0, ?, ?)",
      job.id,
      job.metadata === null ? null : JSON.stringify(job.metadata),
      JSON.stringify(job),
    );
  }

  keep(job: TuningJob): void {
    this.#sql.exec(
      "UPDATE jobs SET over = ?, at_rest = ?, document = ? WHERE id = ?",
      Number(isOver(job.course)),
      Number(isAtRest(job.course)),
      JSON.stringify(job),
      job.id,
    );
  }

  find(id: TuningJobId): TuningJob | null {
    const rows = this.#sql.exec<JobRow>("SELECT document FROM jobs WHERE id = ?", id);
    const [row] = rows.toArray();
    return row === undefined ? null : jobOf(row);
  }

  /** Those about which something is to be done, the oldest first. */
  toDo(): TuningJob[] {
    const rows = this.#sql.exec<JobRow>(
      "SELECT document FROM jobs WHERE at_rest = 0 ORDER BY number",
    );
    return rows.toArray().map(jobOf);
  }

  /** The newest first. One more than asked for, where there are more. @returns null where there is no `after` */
  page({ limit, after, metadata }: TuningPage): TuningJob[] | null {
    if (after !== null && this.find(after) === null) return null;
    const rows = this.#sql.exec<JobRow & { metadata: string | null }>(
      `SELECT metadata, document FROM jobs
       WHERE (?1 IS NULL OR number < (SELECT number FROM jobs WHERE id = ?1)) ORDER BY number DESC`,
      after,
    );
    const found: TuningJob[] = [];
    for (const row of rows) {
      if (!hasMetadata(row.metadata, metadata)) continue;
      found.push(jobOf(row));
      if (found.length > limit) break;
    }
    return found;
  }

  /** Forgets the oldest that are at rest. @returns their ids */
  prune(keptMax: number): TuningJobId[] {
    const rows = this.#sql.exec<{ id: TuningJobId }>(
      `DELETE FROM jobs WHERE number IN (
         SELECT number FROM jobs WHERE at_rest = 1 ORDER BY number DESC LIMIT -1 OFFSET ?
       ) RETURNING id`,
      keptMax,
    );
    return rows.toArray().map(({ id }) => id);
  }
}

function hasMetadata(json: string | null, wanted: Metadata | null): boolean {
  if (wanted === null) return json === null;
  const pairs = Object.entries(wanted);
  if (pairs.length === 0) return true;
  const held: Metadata = json === null ? {} : JSON.parse(json);
  return pairs.every(([key, value]) => Object.hasOwn(held, key) && held[key] === value);
}
