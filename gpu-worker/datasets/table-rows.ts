/**
 * Rows of CSV and TSV. A record of CSV goes on over line ends inside quotes. Where its quotes do not match, its first
 * line alone is bad, and the lines that it would have swallowed are read anew: one forgotten quote is one bad line.
 */
import type { Layout } from "#contract/training/container.ts";
import { hasWholeQuotes, splitRecord } from "#contract/training/csv-record.ts";
import type { Fields } from "#contract/training/json-line.ts";
import { trainingLimits } from "#contract/training/limits.ts";
import type { TextLine } from "./lines.ts";
import type { Row, RowReader } from "./row.ts";

/** Of one record. */
const recordLinesMax = 200;

type Pending = TextLine & { readonly whole: boolean };
type TableLayout = Extract<Layout, { columns: readonly string[] }>;

export function tableRows({ delimiter, columns }: TableLayout): RowReader {
  const pending: Pending[] = [];
  let headerRead = false;

  /** Lines of the first record; null: it has not ended. */
  const lengthOfFirst = (): number | null => {
    let whole = true;
    for (const [at, line] of pending.entries()) {
      whole = whole === line.whole;
      if (whole) return at + 1;
    }
    return null;
  };
  const mayGoOn = () =>
    pending.length < recordLinesMax &&
    pending.reduce((sum, { text }) => sum + text.length, 0) < trainingLimits.lineBytesMax;
  const take = (length: number | null): Row => {
    const line = pending[0]?.number ?? 1;
    const text = pending.slice(0, length ?? 1).map((each) => each.text);
    const values = length === null ? null : splitRecord(text.join("\n"), delimiter);
    pending.splice(0, values === null ? 1 : (length ?? 1));
    if (values === null) return { line, faults: [{ code: "csv_quotes" }] };
    return rowOf(line, values, columns);
  };
  function* drain(ended: boolean): Generator<Row> {
    while (pending.length > 0) {
      const length = lengthOfFirst();
      if (length === null && !ended && mayGoOn()) return;
      const blank = length === 1 && pending[0]?.text.trim() === "";
      if (blank) pending.shift();
      else yield take(length);
    }
  }
  return {
    *push(line) {
      if ("fault" in line) {
        yield* drain(true);
        yield { line: line.number, faults: [line.fault] };
      } else if (headerRead) {
        pending.push({ ...line, whole: hasWholeQuotes(line.text, delimiter) });
        yield* drain(false);
      } else {
        headerRead = line.text.trim() !== "";
      }
    },
    end: () => drain(true),
  };
}

function rowOf(line: number, values: readonly string[], columns: readonly string[]): Row {
  if (values.length !== columns.length) {
    const [found, expected] = [String(values.length), String(columns.length)];
    return { line, faults: [{ code: "column_count", found, expected }] };
  }
  const nul = values.findIndex((value) => value.includes("\0"));
  if (nul >= 0) return { line, faults: [{ code: "nul_character", field: columns[nul] ?? "" }] };
  const fields: Fields = Object.fromEntries(
    columns.map((name, at) => [name, valueOf(name, values[at] ?? "")]),
  );
  return { line, fields };
}

/** A table has no types: a score is a number where it reads as one, a label never is. */
function valueOf(column: string, value: string): string | number {
  const isNumber = column === "score" && value.trim() !== "" && Number.isFinite(Number(value));
  return isNumber ? Number(value) : value;
}
