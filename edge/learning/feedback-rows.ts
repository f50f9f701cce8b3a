/**
 * What was said of answers, in SQLite: of each model and input at most one correction and one rating, the last. How
 * much there is of each model stands beside it, so that nothing is counted row by row.
 */
import type { FormName } from "#contract/training/forms.ts";
import { type Feedback, feedbackLimits } from "./feedback.ts";

/** `number`: in which order it came; what was changed comes anew. */
const tables = `
  CREATE TABLE IF NOT EXISTS feedback (
    number INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL, digest TEXT NOT NULL, rated INTEGER NOT NULL,
    kind TEXT NOT NULL, line TEXT NOT NULL, metadata TEXT, bytes INTEGER NOT NULL, UNIQUE (model, rated, digest)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS counts (
    model TEXT PRIMARY KEY, form TEXT, examples INTEGER NOT NULL DEFAULT 0, up INTEGER NOT NULL DEFAULT 0,
    down INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, example_bytes INTEGER NOT NULL DEFAULT 0,
    last_at INTEGER NOT NULL
  ) STRICT;
`;

export type FeedbackCount = {
  model: string;
  /** Of its examples; null: there is none. */
  form: FormName | null;
  examples: number;
  up: number;
  down: number;
  /** Of all. */
  bytes: number;
  example_bytes: number;
  /** Milliseconds since the epoch. */
  last_at: number;
};

/** `known`: the same was said before. */
export type FeedbackOutcome =
  | { kept: "new" | "replaced" | "known"; examples: number }
  | { refusal: "rows" | "bytes" | "names" }
  | { refusal: "form"; form: FormName };

type Row = { number: number; kind: Feedback["kind"]; line: string; bytes: number };
export type ExampleRow = { number: number; line: string; metadata: string | null };

export class FeedbackRows {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(tables);
  }

  /** @param now milliseconds since the epoch */
  add(said: Feedback, now: number): FeedbackOutcome {
    const known = this.#find(said);
    const count = this.count(said.model);
    const metadata = said.metadata === null ? null : JSON.stringify(said.metadata);
    const bytes = bytesIn(said.line) + bytesIn(metadata ?? "");
    if (known?.kind === said.kind && known.line === said.line)
      return { kept: "known", examples: count?.examples ?? 0 };
    const refusal = this.#refusal(said, count, { isNew: known === null, bytes });
    if (refusal !== null) return refusal;
    if (known !== null) this.#take(said.model, known);
    const { model, digest, kind, line, form } = said;
    const rated = Number(kind !== "example");
    this.#sql.exec(
      "INSERT INTO feedback (model, digest, rated, kind, line, metadata, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)",
      model,
      digest,
      rated,
      kind,
      line,
      metadata,
      bytes,
    );
    this.#sql.exec("INSERT OR IGNORE INTO counts (model, last_at) VALUES (?, ?)", model, now);
    this.#sql.exec(
      "UPDATE counts SET last_at = ?, form = coalesce(?, form) WHERE model = ?",
      now,
      form,
      model,
    );
    this.#add(model, { kind, bytes }, 1);
    const examples = this.count(model)?.examples ?? 0;
    return { kept: known === null ? "new" : "replaced", examples };
  }

  #find({ model, digest, kind }: Feedback): Row | null {
    const rows = this.#sql.exec<Row>(
      "SELECT number, kind, line, bytes FROM feedback WHERE model = ? AND rated = ? AND digest = ?",
      model,
      Number(kind !== "example"),
      digest,
    );
    return rows.toArray()[0] ?? null;
  }

  #refusal(
    { form }: Feedback,
    count: FeedbackCount | null,
    { isNew, bytes }: { isNew: boolean; bytes: number },
  ): Exclude<FeedbackOutcome, { kept: unknown }> | null {
    const form0 = (count?.examples ?? 0) > 0 ? (count?.form ?? null) : null;
    if (form !== null && form0 !== null && form !== form0) return { refusal: "form", form: form0 };
    const rows = (count?.examples ?? 0) + (count?.up ?? 0) + (count?.down ?? 0);
    if (isNew && rows >= feedbackLimits.rowsMax) return { refusal: "rows" };
    const all = this.counts();
    if (count === null && all.length >= feedbackLimits.namesMax) return { refusal: "names" };
    const kept = all.reduce((sum, each) => sum + each.bytes, 0);
    return kept + bytes > feedbackLimits.bytesMax ? { refusal: "bytes" } : null;
  }

  #take(model: string, { number, kind, bytes }: Row): void {
    this.#sql.exec("DELETE FROM feedback WHERE number = ?", number);
    this.#add(model, { kind, bytes }, -1);
  }

  #add(model: string, { kind, bytes }: Pick<Row, "kind" | "bytes">, sign: 1 | -1): void {
    const isExample = kind === "example";
    this.#sql.exec(
      `UPDATE counts SET ${isExample ? "examples" : kind} = ${isExample ? "examples" : kind} + ?1,
         bytes = bytes + ?2, example_bytes = example_bytes + ?3 WHERE model = ?4`,
      sign,
      sign * bytes,
      isExample ? sign * bytes : 0,
      model,
    );
  }

  count(model: string): FeedbackCount | null {
    return this.counts().find((each) => each.model === model) ?? null;
  }

  /** By model. */
  counts(): FeedbackCount[] {
    return this.#sql.exec<FeedbackCount>("SELECT * FROM counts ORDER BY model").toArray();
  }

  /** Corrections of some models in the order they came, after a number: of the same input the last. */
  examples(models: readonly string[], after: number, limit: number): ExampleRow[] {
    return this.#sql
      .exec<ExampleRow>(
        `SELECT number, line, metadata FROM feedback AS this
         WHERE rated = 0 AND number > ?2 AND model IN (SELECT value FROM json_each(?1)) AND NOT EXISTS (
           SELECT 1 FROM json_each(?1) AS names JOIN feedback AS later ON later.model = names.value
             AND later.rated = 0 AND later.digest = this.digest AND later.number > this.number
         ) ORDER BY number LIMIT ?3`,
        JSON.stringify(models),
        after,
        limit,
      )
      .toArray();
  }

  /** Corrections of some models that came after a number. */
  examplesAfter(models: readonly string[], after: number): number {
    return this.#sql
      .exec<{ count: number }>(
        `SELECT count(*) AS count FROM feedback
         WHERE rated = 0 AND number > ? AND model IN (SELECT value FROM json_each(?))`,
        after,
        JSON.stringify(models),
      )
      .one().count;
  }

  /** Of the last that came; 0: none has. */
  lastNumber(): number {
    return (
      this.#sql.exec<{ last: number | null }>("SELECT max(number) AS last FROM feedback").one()
        .last ?? 0
    );
  }

  /** @returns how many there were */
  forget(model: string): number {
    this.#sql.exec("DELETE FROM counts WHERE model = ?", model);
    const gone = this.#sql.exec("DELETE FROM feedback WHERE model = ? RETURNING number", model);
    return gone.toArray().length;
  }
}

/** Of several models, the form that most of their examples have; null: there is no example. */
export function commonForm(counts: readonly FeedbackCount[]): FormName | null {
  const sums = new Map<FormName, number>();
  for (const { form, examples } of counts)
    if (form !== null && examples > 0) sums.set(form, (sums.get(form) ?? 0) + examples);
  const [most] = [...sums].toSorted(([, a], [, b]) => b - a);
  return most?.[0] ?? null;
}

function bytesIn(text: string): number {
  return new TextEncoder().encode(text).byteLength;
}
