/**
 * The files of one tenant in SQLite. A row is there before the first byte is stored, so that nothing lies in the bucket
 * that no row knows of, and until the bytes are deleted.
 */
import type { JobId } from "#contract/job-id.ts";
import { ObjectReference } from "#contract/object-reference.ts";
import { type FilePurpose, type FileStatus, keyOfFile, type StoredFile } from "./stored-file.ts";

type FileRow = {
  id: string;
  key: string | null;
  filename: string;
  purpose: FilePurpose;
  bytes: number;
  sha256: string;
  created_at: number;
  expires_at: number | null;
  status: FileStatus;
  status_details: string | null;
};

const columns =
  "id, key, filename, purpose, bytes, sha256, created_at, expires_at, status, status_details";

/** `uploading` and `deleted` are seen by nobody; the first was created when it was last heard of. */
const tables = `
  CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY,
    filename TEXT NOT NULL DEFAULT '',
    purpose TEXT NOT NULL DEFAULT '',
    bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    status TEXT NOT NULL DEFAULT 'uploading',
    status_details TEXT,
    check_job TEXT,
    check_tries INTEGER NOT NULL DEFAULT 0,
    report TEXT
  ) STRICT;
`;
/** Of older tables it is missing. Null: where uploads lie. */
const keyColumn = "ALTER TABLE files ADD COLUMN key TEXT";

/** What came of a file's check. */
export type FileVerdict = Pick<StoredFile, "status" | "statusDetails"> & {
  /** Null: there is none, the check failed. */
  readonly report: ObjectReference | null;
};

export type FilePage = {
  /** Null: any. */
  purpose: string | null;
  limit: number;
  order: "asc" | "desc";
  /** Id of the file before the first; null: none. */
  after: string | null;
};

function fileOf(row: FileRow): StoredFile {
  const { created_at: createdAt, expires_at: expiresAt, status_details: statusDetails } = row;
  const { id, filename, purpose, bytes, sha256, status } = row;
  const key = row.key ?? keyOfFile(id);
  return { id, key, filename, purpose, bytes, sha256, createdAt, expiresAt, status, statusDetails };
}

const seen = "status NOT IN ('uploading', 'deleted')";

export class FileRows {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(tables);
    const columnsNow = sql.exec("SELECT 1 FROM pragma_table_info('files') WHERE name = 'key'");
    if (columnsNow.toArray().length === 0) sql.exec(keyColumn);
  }

  /** What is stored, and what uploads under way may come to. */
  usage(): { bytes: number; files: number; uploads: number } {
    return this.#sql
      .exec<{ bytes: number; files: number; uploads: number }>(
        `SELECT coalesce(sum(bytes), 0) AS bytes, count(*) AS files,
           coalesce(sum(status = 'uploading'), 0) AS uploads FROM files WHERE status <> 'deleted'`,
      )
      .one();
  }

  begin(id: string, bytes: number, createdAt: number): void {
    this.#sql.exec(
      "INSERT INTO files (id, bytes, created_at) VALUES (?, ?, ?)",
      id,
      bytes,
      createdAt,
    );
  }

  /** @returns whether it is still being uploaded: a row that was too long so is taken for dead */
  end(file: StoredFile): boolean {
    const { filename, purpose, bytes, sha256, createdAt, expiresAt, status, id } = file;
    const { rowsWritten } = this.#sql.exec(
      `UPDATE files SET filename = ?, purpose = ?, bytes = ?, sha256 = ?, created_at = ?, expires_at = ?, status = ?
       WHERE id = ? AND status = 'uploading'`,
      filename,
      purpose,
      bytes,
      sha256,
      createdAt,
      expiresAt,
      status,
      id,
    );
    return rowsWritten > 0;
  }

  /** A file whose bytes are in the bucket already. One that is known stays as it is. */
  adopt(file: StoredFile): void {
    const { id, key, filename, purpose, bytes, sha256, createdAt, status } = file;
    this.#sql.exec(
      `INSERT OR IGNORE INTO files (id, key, filename, purpose, bytes, sha256, created_at, status)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      id,
      key,
      filename,
      purpose,
      bytes,
      sha256,
      createdAt,
      status,
    );
  }

  find(id: string): StoredFile | null {
    const rows = this.#sql.exec<FileRow>(
      `SELECT ${columns} FROM files WHERE id = ? AND ${seen}`,
      id,
    );
    const [row] = rows.toArray();
    return row === undefined ? null : fileOf(row);
  }

  /** In the order they came. One more than asked for, where there are more. @returns null where there is no `after` */
  page({ purpose, limit, order, after }: FilePage): StoredFile[] | null {
    if (after !== null && this.find(after) === null) return null;
    const beyond = order === "asc" ? ">" : "<";
    const rows = this.#sql.exec<FileRow>(
      `SELECT ${columns} FROM files WHERE ${seen} AND (?1 IS NULL OR purpose = ?1)
         AND (?2 IS NULL OR rowid ${beyond} (SELECT rowid FROM files WHERE id = ?2))
       ORDER BY rowid ${order} LIMIT ?3`,
      purpose,
      after,
      limit + 1,
    );
    return rows.toArray().map(fileOf);
  }

  /** Nobody sees it any more; its bytes are still to be deleted. */
  markDeleted(id: string): void {
    this.#sql.exec("UPDATE files SET status = 'deleted', report = NULL WHERE id = ?", id);
  }

  remove(id: string): void {
    this.#sql.exec("DELETE FROM files WHERE id = ?", id);
  }

  /** An upload goes on. */
  hear(id: string, now: number): void {
    this.#sql.exec(
      "UPDATE files SET created_at = ? WHERE id = ? AND status = 'uploading'",
      now,
      id,
    );
  }

  /** Those whose time is over by `now`, and uploads not heard of since `heardBefore`, are deleted from now on. */
  expire(now: number, heardBefore: number): void {
    this.#sql.exec(
      `UPDATE files SET status = 'deleted', report = NULL
       WHERE expires_at <= ? OR (status = 'uploading' AND created_at <= ?)`,
      now,
      heardBefore,
    );
  }

  deleted(): { id: string; key: string }[] {
    const rows = this.#sql.exec<{ id: string; key: string | null }>(
      "SELECT id, key FROM files WHERE status = 'deleted'",
    );
    return rows.toArray().map(({ id, key }) => ({ id, key: key ?? keyOfFile(id) }));
  }

  /** Seconds since the epoch: when the next file expires; null: none does. */
  nextExpiry(): number | null {
    return this.#sql
      .exec<{ next: number | null }>(
        "SELECT min(expires_at) AS next FROM files WHERE status <> 'deleted'",
      )
      .one().next;
  }

  /** Of the upload that was not heard of for the longest time, when it was; null: none is under way. */
  quietestUpload(): number | null {
    return this.#sql
      .exec<{ first: number | null }>(
        "SELECT min(created_at) AS first FROM files WHERE status = 'uploading'",
      )
      .one().first;
  }

  /** A file that is not checked yet, with the job that does it, where one has begun. Null: it is none such. */
  waiting(id: string): { file: StoredFile; job: JobId | null; tries: number } | null {
    const file = this.find(id);
    if (file?.status !== "uploaded") return null;
    const check = this.#sql
      .exec<{ job: JobId | null; tries: number }>(
        "SELECT check_job AS job, check_tries AS tries FROM files WHERE id = ?",
        id,
      )
      .one();
    return { file, ...check };
  }

  keepCheck(id: string, job: JobId): void {
    this.#sql.exec(
      "UPDATE files SET check_job = ?, check_tries = check_tries + 1 WHERE id = ?",
      job,
      id,
    );
  }

  /** @returns whether one was awaited */
  keepVerdict(id: string, { status, statusDetails, report }: FileVerdict): boolean {
    const { rowsWritten } = this.#sql.exec(
      "UPDATE files SET status = ?, status_details = ?, report = ? WHERE id = ? AND status = 'uploaded'",
      status,
      statusDetails,
      report === null ? null : JSON.stringify(report),
      id,
    );
    return rowsWritten > 0;
  }

  /** Where the report of a file lies; null: there is none, or no such file. */
  report(id: string): ObjectReference | null {
    const rows = this.#sql.exec<{ report: string | null }>(
      `SELECT report FROM files WHERE id = ? AND ${seen}`,
      id,
    );
    const text = rows.toArray()[0]?.report ?? null;
    return text === null ? null : ObjectReference.parse(JSON.parse(text));
  }
}
