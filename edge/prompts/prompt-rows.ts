/** The prompts of one key in SQLite, and the optimisations that may add a version to one. */
import {
  type EvaluationState,
  type PromptContent,
  type PromptHead,
  type PromptRefusal,
  promptStorage,
  type StoredVersion,
  type VersionHead,
  type VersionReport,
  type WatchedEvaluation,
} from "./stored-prompt.ts";

/** `last`: the number of the newest version that there ever was, so that none is given twice. */
const tables = `
  CREATE TABLE IF NOT EXISTS prompts (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, last INTEGER NOT NULL,
    created_at INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS versions (
    prompt TEXT NOT NULL, version INTEGER NOT NULL, content TEXT NOT NULL, report TEXT, bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL, PRIMARY KEY (prompt, version)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS evaluations (
    job TEXT PRIMARY KEY, prompt TEXT NOT NULL, version INTEGER NOT NULL, created_at INTEGER NOT NULL,
    state TEXT NOT NULL, stored INTEGER
  ) STRICT;
`;

const heads = `
  SELECT id, name, version, prompts.created_at AS createdAt, versions.created_at AS changedAt
  FROM prompts JOIN versions ON prompt = id AND version = (SELECT max(version) FROM versions WHERE prompt = id)
`;

type VersionRow = Pick<StoredVersion, "id" | "name" | "version" | "createdAt"> & {
  content: string;
  report: string | null;
};

export type PromptPage = { limit: number; order: "asc" | "desc"; after: string | null };

export class PromptRows {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(tables);
  }

  create(
    { id, name, now }: { id: string; name: string; now: number },
    content: PromptContent,
  ): PromptRefusal | null {
    const { count } = this.#sql
      .exec<{ count: number }>("SELECT count(*) AS count FROM prompts")
      .one();
    if (count >= promptStorage.promptsMax) return "prompts";
    const version = rowOf(content, null);
    if (!this.#hasRoom(version.bytes)) return "bytes";
    this.#sql.exec(
      "INSERT INTO prompts (id, name, last, created_at) VALUES (?, ?, 1, ?)",
      id,
      name,
      now,
    );
    this.#insert({ id, version: 1, now }, version);
    return null;
  }

  /** @returns the number of the version; null: there is no such prompt */
  add(
    { id, now }: { id: string; now: number },
    content: PromptContent,
    report: VersionReport | null,
  ): number | PromptRefusal | null {
    const [prompt] = this.#sql
      .exec<{ last: number }>("SELECT last FROM prompts WHERE id = ?", id)
      .toArray();
    if (prompt === undefined) return null;
    const row = rowOf(content, report);
    if (this.versions(id).length >= promptStorage.versionsMax) return "versions";
    if (!this.#hasRoom(row.bytes)) return "bytes";
    const version = prompt.last + 1;
    this.#sql.exec("UPDATE prompts SET last = ? WHERE id = ?", version, id);
    this.#insert({ id, version, now }, row);
    return version;
  }

  #hasRoom(bytes: number): boolean {
    const { kept } = this.#sql
      .exec<{ kept: number | null }>("SELECT sum(bytes) AS kept FROM versions")
      .one();
    return (kept ?? 0) + bytes <= promptStorage.bytesMax;
  }

  #insert(
    { id, version, now }: { id: string; version: number; now: number },
    { content, report, bytes }: ReturnType<typeof rowOf>,
  ): void {
    this.#sql.exec(
      "INSERT INTO versions (prompt, version, content, report, bytes, created_at) VALUES (?, ?, ?, ?, ?, ?)",
      id,
      version,
      content,
      report,
      bytes,
      now,
    );
  }

  /** @param version null: the newest */
  find(id: string, version: number | null): StoredVersion | null {
    const [row] = this.#sql
      .exec<VersionRow>(
        `SELECT id, name, version, versions.created_at AS createdAt, content, report
         FROM versions JOIN prompts ON prompt = id WHERE id = ?1 AND version = coalesce(?2, version)
         ORDER BY version DESC LIMIT 1`,
        id,
        version,
      )
      .toArray();
    if (row === undefined) return null;
    const { content, report, ...head } = row;
    return {
      ...head,
      content: JSON.parse(content),
      report: report === null ? null : JSON.parse(report),
    };
  }

  /** @returns null: there is no prompt of the id that it is to begin after */
  page({ limit, order, after }: PromptPage): PromptHead[] | null {
    const [from] =
      after === null
        ? [{ number: null }]
        : this.#sql
            .exec<{ number: number }>("SELECT number FROM prompts WHERE id = ?", after)
            .toArray();
    if (from === undefined) return null;
    const sign = order === "asc" ? ">" : "<";
    return this.#sql
      .exec<PromptHead>(
        `${heads} WHERE ?1 IS NULL OR prompts.number ${sign} ?1 ORDER BY prompts.number ${order} LIMIT ?2`,
        from.number,
        limit,
      )
      .toArray();
  }

  /** The newest first; none: there is no such prompt. */
  versions(id: string): VersionHead[] {
    return this.#sql
      .exec<VersionHead>(
        `SELECT version, created_at AS createdAt FROM versions WHERE prompt = ? ORDER BY version DESC`,
        id,
      )
      .toArray();
  }

  /** With all its versions. @returns whether there was such a prompt */
  remove(id: string): boolean {
    this.#sql.exec("DELETE FROM versions WHERE prompt = ?", id);
    this.#sql.exec("DELETE FROM evaluations WHERE prompt = ?", id);
    return this.#sql.exec("DELETE FROM prompts WHERE id = ?", id).rowsWritten > 0;
  }

  /** A prompt has one version at least. */
  removeVersion(id: string, version: number): "removed" | "none" | "last" {
    const versions = this.versions(id);
    if (!versions.some((each) => each.version === version)) return "none";
    if (versions.length === 1) return "last";
    this.#sql.exec("DELETE FROM versions WHERE prompt = ? AND version = ?", id, version);
    return "removed";
  }

  /** One that is watched already stays as it is; of too many the oldest are forgotten. */
  watch({ job, prompt, version, createdAt }: Omit<WatchedEvaluation, "state" | "stored">): void {
    this.#sql.exec(
      "INSERT OR IGNORE INTO evaluations (job, prompt, version, created_at, state) VALUES (?, ?, ?, ?, 'running')",
      job,
      prompt,
      version,
      createdAt,
    );
    this.#sql.exec(
      `DELETE FROM evaluations WHERE job NOT IN
         (SELECT job FROM evaluations ORDER BY created_at DESC, rowid DESC LIMIT ?)`,
      promptStorage.evaluationsMax,
    );
  }

  settle(job: string, state: EvaluationState, stored: number | null): void {
    this.#sql.exec(
      "UPDATE evaluations SET state = ?, stored = ? WHERE job = ?",
      state,
      stored,
      job,
    );
  }

  /** The newest first. @param prompt null: those that run, of all prompts */
  evaluations(prompt: string | null): WatchedEvaluation[] {
    return this.#sql
      .exec<WatchedEvaluation>(
        `SELECT job, prompt, version, created_at AS createdAt, state, stored FROM evaluations
         WHERE CASE WHEN ?1 IS NULL THEN state = 'running' ELSE prompt = ?1 END ORDER BY created_at DESC, rowid DESC`,
        prompt,
      )
      .toArray();
  }
}

function rowOf(content: PromptContent, report: VersionReport | null) {
  const text = JSON.stringify(content);
  const told = report === null ? null : JSON.stringify(report);
  const bytes = new TextEncoder().encode(text + (told ?? "")).byteLength;
  return { content: text, report: told, bytes };
}
