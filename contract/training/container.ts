/**
 * How a training file holds its examples, told from its first lines alone: an edge and a worker come to the same. The
 * file's name decides only where the content leaves it open, between plain text and nothing.
 */
import * as z from "zod";
import { type Delimiter, splitRecord } from "./csv-record.ts";
import { formOf } from "./form-of.ts";
import { type FormName, forms } from "./forms.ts";
import type { Fault } from "./problems.ts";

export const Container = z.enum(["jsonl", "csv", "tsv", "conll", "text"]);
export type Container = z.infer<typeof Container>;

export type Layout =
  | { readonly container: "jsonl" | "text" }
  | {
      readonly container: "csv" | "tsv";
      readonly delimiter: Delimiter;
      readonly columns: readonly string[];
    }
  | { readonly container: "conll"; readonly columnCount: number };

const delimiters: readonly Delimiter[] = [",", "\t", ";"];

/** Forms whose lines have plain values alone. */
export const tableForms: readonly FormName[] = [
  "single-label",
  "relation",
  "regression",
  "similarity",
  "pairs",
  "completion",
  "text",
];

export function formsInWords(names: readonly FormName[]): string {
  const lists = names.map((name) => Object.keys(forms[name].example).join(", "));
  return [...new Set(lists)].join("; ");
}

/** @param lines the first, without line ends; blank ones included. @param name of the file, null where it has none */
export function layoutOf(lines: readonly string[], name: string | null): Layout | { fault: Fault } {
  const full = lines.filter((line) => line.trim() !== "");
  const [first] = full;
  if (first === undefined) return { fault: { code: "empty_file" } };
  if (/^\s*\{/.test(first)) {
    return isDocument(full) ? { fault: { code: "json_document" } } : { container: "jsonl" };
  }
  const table = tableOf(first);
  if (table !== null && columnsForm(table.columns) !== null) return table;
  const columnCount = conllColumns(full);
  if (columnCount !== null) return { container: "conll", columnCount };
  if (isPlainText(name)) return { container: "text" };
  if (/^\s*\[/.test(first)) return { fault: { code: "json_document" } };
  if (table !== null && isTable(full, table)) {
    const found = table.columns.join(", ");
    return { fault: { code: "unknown_columns", found, expected: formsInWords(tableForms) } };
  }
  return { fault: { code: "unknown_container" } };
}

/** An object that was printed over several lines begins with a line that is none. */
function isDocument(lines: readonly string[]): boolean {
  return /^\s*\{\s*$/.test(lines[0] ?? "") && lines.length > 1;
}

function isPlainText(name: string | null): boolean {
  return name !== null && /\.txt$/i.test(name);
}

type Table = Extract<Layout, { container: "csv" | "tsv" }>;

/** The first line as a header; null where it is none. */
function tableOf(header: string): Table | null {
  const read = delimiters.map((delimiter) => ({
    delimiter,
    names: splitRecord(header, delimiter) ?? [],
  }));
  const best = read.reduce((a, b) => (b.names.length > a.names.length ? b : a));
  const columns = best.names.map((name) => name.trim());
  if (columns.some((name) => name === "") || new Set(columns).size < columns.length) return null;
  return { container: best.delimiter === "\t" ? "tsv" : "csv", delimiter: best.delimiter, columns };
}

/** Which form a header's names are of. One name alone is a header where it is `text`. */
function columnsForm(columns: readonly string[]): FormName | null {
  const form = formOf(Object.fromEntries(columns.map((name) => [name, ""])));
  return form !== null && tableForms.includes(form) ? form : null;
}

/** Whether the next lines have as many columns as the header: prose with a comma in its first line has not. */
function isTable(lines: readonly string[], { delimiter, columns }: Table): boolean {
  const next = lines.slice(1, 6).map((line) => splitRecord(line, delimiter)?.length ?? 0);
  return columns.length > 1 && next.length > 0 && next.every((count) => count === columns.length);
}

const linesLooked = 50;
const tag = /^(O|[A-Z]-\S+)$/;

/** Columns of tokens with a tag in the last; null where most lines are none. */
function conllColumns(lines: readonly string[]): number | null {
  const rows = lines
    .slice(0, linesLooked)
    .filter((line) => !/^(-DOCSTART-|# )/.test(line))
    .map(splitColumns);
  const tagged = rows.filter((row) => row.length > 1 && tag.test(row.at(-1) ?? ""));
  const counts = Map.groupBy(tagged, ({ length }) => length);
  const most = Math.max(0, ...[...counts.values()].map(({ length }) => length));
  const commonest = [...counts].find(([, { length }]) => length === most)?.[0];
  return commonest !== undefined && most * 2 > rows.length ? commonest : null;
}

/** By tabs where there are any, since a token may have a space in it then. */
export function splitColumns(line: string): string[] {
  return line.includes("\t") ? line.split("\t") : line.trim().split(/ +/);
}
