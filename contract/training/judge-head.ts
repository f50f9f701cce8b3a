/**
 * The first 64 KiB of a training file: how it holds its examples and of which form they are, or why it can be no
 * training file. Single bad lines are no reason to refuse: a worker that has read all of the file lists them.
 */
import { Container, formsInWords, type Layout, layoutOf } from "./container.ts";
import { splitRecord } from "./csv-record.ts";
import { commonestForm, formOf, renameFields } from "./form-of.ts";
import { FormName } from "./forms.ts";
import { parseJsonLine } from "./json-line.ts";
import { trainingLimits } from "./limits.ts";
import { type Fault, type Problem, problemAt } from "./problems.ts";
import { decodeUtf8 } from "./utf8.ts";

export type HeadOptions = {
  /** Of the file. Null or absent: it has none. */
  name?: string | null;
  /** Whether the bytes are all of the file: then its last line is whole. */
  complete: boolean;
};

export type Head = {
  layout: Layout;
  container: Container;
  /** Null: the first line is longer than these bytes, so that nothing can be told yet. */
  form: FormName | null;
};

/** Kinds of files that are sent by mistake, by how they begin. */
const signatures: readonly (readonly [string, string])[] = [
  ["\x1f\x8b", "a gzip file"],
  ["PK\x03\x04", "a zip file, or a spreadsheet"],
  ["%PDF", "a PDF file"],
  ["PAR1", "a Parquet file"],
  ["\x28\xb5\x2f\xfd", "a Zstandard file"],
  ["ARROW1", "an Arrow file"],
  ["\xd0\xcf\x11\xe0", "an old Office file"],
];

/** Lines that tell the form. */
const linesForForm = 200;

/** @param bytes the first `trainingLimits.headBytes` of the file; more are not looked at */
export function judgeHead(bytes: Uint8Array, options: HeadOptions): Head | { problems: Problem[] } {
  const { headBytes } = trainingLimits;
  const complete = options.complete && bytes.length <= headBytes;
  const head = bytes.subarray(0, headBytes);
  const fault = notText(head);
  if (fault !== null) return { problems: [problemAt(null, fault)] };
  const lines = linesOf(head, complete);
  const badLine = lines.findIndex((line) => line === null);
  const whole = lines.flatMap((line) => line ?? []);
  if (whole.length === 0 && badLine >= 0) {
    return { problems: [problemAt(badLine + 1, { code: "invalid_utf8" })] };
  }
  if (whole.every((line) => line.trim() === "") && !complete) return undecided(head);
  const layout = layoutOf(whole, options.name ?? null);
  if ("fault" in layout) return { problems: [problemAt(null, layout.fault)] };
  const rows = whole.filter((line) => line.trim() !== "").length;
  if ("columns" in layout && rows === 1 && complete) {
    return { problems: [problemAt(null, { code: "empty_file" })] };
  }
  const form = formIn(layout, whole);
  return typeof form === "object"
    ? { problems: [form] }
    : { layout, container: layout.container, form };
}

/** Of a first line without an end: an object of JSON, or what a longer piece may tell. */
function undecided(head: Uint8Array): Head | { problems: Problem[] } {
  const first = head.find((byte) => byte > 0x20 && byte < 0x80);
  if (first === 0x7b) return { layout: { container: "jsonl" }, container: "jsonl", form: null };
  const expected = String(trainingLimits.headBytes);
  return { problems: [problemAt(1, { code: "line_too_long", expected })] };
}

function notText(head: Uint8Array): Fault | null {
  if (head.length === 0) return { code: "empty_file" };
  const [first, second] = head;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff))
    return { code: "utf16" };
  const start = String.fromCharCode(...head.subarray(0, 8));
  const known = signatures.find(([signature]) => start.startsWith(signature));
  if (known !== undefined) return { code: "not_text", found: known[1] };
  const zeros = head.reduce((count, byte) => count + (byte === 0 ? 1 : 0), 0);
  // Text in UTF-16 without a mark has one in every two; a single one is a line's own fault.
  return zeros * 20 > head.length ? { code: "not_text", found: "a binary file" } : null;
}

/** Without line ends; null: no UTF-8. A line that is not whole is left out. */
function linesOf(head: Uint8Array, complete: boolean): (string | null)[] {
  const marked = head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf;
  const lines: (string | null)[] = [];
  let from = marked ? 3 : 0;
  for (let end = head.indexOf(0x0a, from); end >= 0; end = head.indexOf(0x0a, from)) {
    lines.push(decodeUtf8(head.subarray(from, end)));
    from = end + 1;
  }
  if (complete && from < head.length) lines.push(decodeUtf8(head.subarray(from)));
  return lines.map((line) => line?.replace(/\r$/, "") ?? null);
}

function formIn(layout: Layout, lines: readonly string[]): FormName | Problem {
  if (layout.container === "conll") return "tags";
  if (layout.container === "text") return "text";
  const full = lines.filter((line) => line.trim() !== "");
  const fields = "columns" in layout ? rowsOf(layout, full) : objectsOf(full);
  const [first] = fields;
  if (first === undefined) {
    const parsed = parseJsonLine(full[0] ?? "");
    return problemAt(1, "fault" in parsed ? parsed.fault : { code: "invalid_json" });
  }
  const form = commonestForm(fields.map((each) => formOf(renameFields(each))));
  if (form !== null) return form;
  const found = Object.keys(first).slice(0, 20).join(", ") || "none";
  const expected = formsInWords(FormName.options);
  return problemAt(null, { code: "unknown_form", found, expected });
}

function objectsOf(lines: readonly string[]) {
  return lines.slice(0, linesForForm).flatMap((line) => {
    const parsed = parseJsonLine(line);
    return "fields" in parsed ? [parsed.fields] : [];
  });
}

/** Rows that are whole on a line. The header stands for a row where there is none: its names are the fields. */
function rowsOf(
  { columns, delimiter }: Extract<Layout, { columns: unknown }>,
  lines: readonly string[],
) {
  const rows = lines.slice(1, linesForForm).flatMap((line) => {
    const values = splitRecord(line, delimiter);
    if (values?.length !== columns.length) return [];
    return [Object.fromEntries(columns.map((name, at) => [name, values[at]]))];
  });
  return rows.length > 0 ? rows : [Object.fromEntries(columns.map((name) => [name, ""]))];
}
