/**
 * The responses of one tenant in SQLite. What a response was given, and the document of its result, lie beside its row
 * in pieces: a row holds 2 MB. How much there is stands in memory, so that nothing is counted row by row.
 */
import type { PublicError } from "#contract/errors.ts";
import type { JobId } from "#contract/job-id.ts";
import type { ResponseRendering } from "../answers/model-response.ts";
import { type Told, toldAtOnce } from "../answers/told-pieces.ts";

const pieceBytes = 512 * 1024;

/** `look_at`: when its job is asked about, of one that is open. Times are milliseconds since the epoch. */
const tables = `
  CREATE TABLE IF NOT EXISTS responses (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, previous TEXT,
    job TEXT, status TEXT NOT NULL, from_result INTEGER NOT NULL, rendering TEXT NOT NULL, warnings TEXT NOT NULL,
    error TEXT, bytes INTEGER NOT NULL, created_at INTEGER NOT NULL, look_at INTEGER, told TEXT
  ) STRICT;
  CREATE INDEX IF NOT EXISTS responses_by_look ON responses (look_at) WHERE look_at IS NOT NULL;
  CREATE TABLE IF NOT EXISTS pieces (
    response INTEGER NOT NULL, part TEXT NOT NULL, number INTEGER NOT NULL, bytes BLOB NOT NULL,
    PRIMARY KEY (response, part, number)
  ) STRICT, WITHOUT ROWID;
`;

export type ResponseRow = {
  number: number;
  id: string;
  tenant: string;
  previous: string | null;
  /** Null: its result was there already. */
  job: JobId | null;
  status: "open" | "succeeded" | "failed" | "canceled";
  /** 1: what a stream told of it was its result alone (`toldAtOnce`). */
  from_result: number;
  /** JSON, as are warnings, error and told. */
  rendering: string;
  warnings: string;
  error: string | null;
  bytes: number;
  created_at: number;
  look_at: number | null;
  told: string | null;
};

export type NewResponse = {
  id: string;
  tenant: string;
  previous: string | null;
  job: JobId | null;
  rendering: ResponseRendering;
  warnings: readonly string[];
  /** JSON of the items that it was given. */
  input: string;
};

/** `told`: how its events were told; null: not known. */
export type ResponseEnd = { told: Told | null } & (
  | { status: "succeeded"; document: string; output: string | null }
  | { status: "failed"; error: PublicError }
  | { status: "canceled" }
);

/** `output`: of a large result the items alone, without log probabilities. */
type Part = "input" | "result" | "output";

export class ResponseRows {
  readonly #sql: SqlStorage;
  #count: number;
  #bytes: number;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(tables);
    const columns = sql.exec<{ name: string }>("SELECT name FROM pragma_table_info('responses')");
    if (!columns.toArray().some(({ name }) => name === "told")) {
      sql.exec("ALTER TABLE responses ADD COLUMN told TEXT");
    }
    const all = sql.exec<{ count: number; bytes: number | null }>(
      "SELECT count(*) AS count, sum(bytes) AS bytes FROM responses",
    );
    const { count, bytes } = all.one();
    [this.#count, this.#bytes] = [count, bytes ?? 0];
  }

  get usage(): { responses: number; bytes: number } {
    return { responses: this.#count, bytes: this.#bytes };
  }

  find(id: string): ResponseRow | null {
    return this.#select("id = ?", id)[0] ?? null;
  }

  /**
   * @param now milliseconds since the epoch
   * @param state when it is looked at, where it is open; else how it ended
   */
  add(response: NewResponse, now: number, state: { lookAt: number } | ResponseEnd): void {
    const { id, tenant, previous, job } = response;
    const rendering = JSON.stringify(response.rendering);
    const { status, error, fromResult, told, parts } = partsOf("lookAt" in state ? null : state);
    const all = [...parts, written("input", response.input)];
    const bytes = bytesIn(rendering).byteLength + sizeOf(told, all);
    const { number } = this.#sql
      .exec<{ number: number }>(
        `INSERT INTO responses (id, tenant, previous, job, status, from_result, rendering, warnings, error, bytes,
           created_at, look_at, told) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number`,
        id,
        tenant,
        previous,
        job,
        status,
        fromResult,
        rendering,
        JSON.stringify(response.warnings),
        error,
        bytes,
        now,
        "lookAt" in state ? state.lookAt : null,
        told,
      )
      .one();
    this.#count += 1;
    this.#bytes += bytes;
    for (const part of all) this.#write(number, part);
  }

  setJob(id: string, job: JobId): void {
    this.#sql.exec("UPDATE responses SET job = ? WHERE id = ?", job, id);
  }

  lookLater(id: string, at: number): void {
    this.#sql.exec("UPDATE responses SET look_at = ? WHERE id = ? AND status = 'open'", at, id);
  }

  /** Of one that is open. */
  end({ number }: Pick<ResponseRow, "number">, end: ResponseEnd): void {
    const { status, error, fromResult, told, parts } = partsOf(end);
    const bytes = sizeOf(told, parts);
    this.#sql.exec(
      `UPDATE responses SET status = ?, from_result = ?, error = ?, bytes = bytes + ?, look_at = NULL, told = ?
       WHERE number = ?`,
      status,
      fromResult,
      error,
      bytes,
      told,
      number,
    );
    this.#bytes += bytes;
    for (const part of parts) this.#write(number, part);
  }

  /** @returns whether there was one */
  remove(id: string): boolean {
    const row = this.find(id);
    if (row !== null) this.#remove(row);
    return row !== null;
  }

  /** Removes those made before a time. */
  expire(before: number): void {
    for (const row of this.#select("created_at < ?", before)) this.#remove(row);
  }

  /** Removes the oldest that is finished. @param but one that stays @returns whether there was one */
  evict(but: string | null): boolean {
    const condition = "status <> 'open' AND id IS NOT ? ORDER BY number LIMIT 1";
    const [row] = this.#select(condition, but);
    if (row !== undefined) this.#remove(row);
    return row !== undefined;
  }

  /** Those whose jobs are to be asked about by now. */
  due(now: number, limit: number): ResponseRow[] {
    return this.#select("look_at <= ? ORDER BY look_at LIMIT ?", now, limit);
  }

  /** When the first job is to be asked about, and when the oldest response was made; null: there is none. */
  times(): { look: number | null; oldest: number | null } {
    const statement = `SELECT (SELECT min(look_at) FROM responses WHERE look_at IS NOT NULL) AS look,
      (SELECT created_at FROM responses ORDER BY number LIMIT 1) AS oldest`;
    return this.#sql.exec<{ look: number | null; oldest: number | null }>(statement).one();
  }

  /** @returns "" where there is none */
  read(row: Pick<ResponseRow, "number">, part: Part): string {
    const decoder = new TextDecoder();
    let text = "";
    for (let at = 0; ; at += 1) {
      const piece = this.piece(row, part, at);
      if (piece === null) return text + decoder.decode();
      text += decoder.decode(piece, { stream: true });
    }
  }

  /** @returns null past the last */
  piece({ number }: Pick<ResponseRow, "number">, part: Part, at: number): Uint8Array | null {
    const [piece] = this.#sql
      .exec<{ bytes: ArrayBuffer }>(
        "SELECT bytes FROM pieces WHERE response = ? AND part = ? AND number = ?",
        number,
        part,
        at,
      )
      .toArray();
    return piece === undefined ? null : new Uint8Array(piece.bytes);
  }

  bytesOf({ number }: Pick<ResponseRow, "number">, part: Part): number {
    const statement = `SELECT coalesce(sum(length(bytes)), 0) AS bytes FROM pieces
      WHERE response = ? AND part = ?`;
    return this.#sql.exec<{ bytes: number }>(statement, number, part).one().bytes;
  }

  #write(response: number, { part, bytes }: Written): void {
    for (let at = 0; at < bytes.byteLength; at += pieceBytes) {
      this.#sql.exec(
        "INSERT INTO pieces (response, part, number, bytes) VALUES (?, ?, ?, ?)",
        response,
        part,
        at / pieceBytes,
        bytes.slice(at, at + pieceBytes).buffer,
      );
    }
  }

  #remove({ number, bytes }: ResponseRow): void {
    this.#sql.exec("DELETE FROM pieces WHERE response = ?", number);
    this.#sql.exec("DELETE FROM responses WHERE number = ?", number);
    this.#count -= 1;
    this.#bytes -= bytes;
  }

  #select(condition: string, ...bindings: (string | number | null)[]): ResponseRow[] {
    return this.#sql
      .exec<ResponseRow>(`SELECT * FROM responses WHERE ${condition}`, ...bindings)
      .toArray();
  }
}

type Written = { part: Part; bytes: Uint8Array };

/** What a row says of an end, and what is written beside it. @param end null: it is open */
function partsOf(end: ResponseEnd | null) {
  const parts: Written[] = [];
  const isAtOnce = end?.told === toldAtOnce;
  const told = end == null || end.told === null || isAtOnce ? null : JSON.stringify(end.told);
  const row = {
    status: end?.status ?? "open",
    error: null,
    fromResult: Number(isAtOnce),
    told,
    parts,
  };
  if (end?.status === "failed") return { ...row, error: JSON.stringify(end.error) };
  if (end?.status !== "succeeded") return row;
  parts.push(written("result", end.document));
  if (end.output !== null) parts.push(written("output", end.output));
  return row;
}

function written(part: Part, text: string): Written {
  return { part, bytes: bytesIn(text) };
}

function bytesIn(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function sizeOf(told: string | null, parts: readonly Written[]): number {
  return parts.reduce((sum, { bytes }) => sum + bytes.byteLength, bytesIn(told ?? "").byteLength);
}

/** @returns null where it is open, or how it was told is not known */
export function toldOf({ from_result, told }: ResponseRow): Told | null {
  if (from_result === 1) return toldAtOnce;
  return told === null ? null : JSON.parse(told);
}
