/**
 * A file's rows as examples of one form, or what is wrong with them: what a report is made of, and what is trained
 * with. Offsets in examples stay as files have them, in code points.
 */
import { cutText } from "#contract/cut-text.ts";
import { formOf, renameFields } from "#contract/training/form-of.ts";
import { fieldsOf, type FormName, type Line } from "#contract/training/forms.ts";
import type { Fields } from "#contract/training/json-line.ts";
import { trainingLimits } from "#contract/training/limits.ts";
import type { Fault } from "#contract/training/problems.ts";
import { readLine } from "#contract/training/read-line.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { checkExample } from "./check-example.ts";
import { type DataSource, openDataFile } from "./data-file.ts";
import { wordsOf } from "./example-words.ts";
import type { Row, TokenFault } from "./row.ts";

/** Line numbers count from 1. */
export type ReadExample<F extends FormName> =
  | { readonly line: number; readonly example: Line<F>; readonly ignored: readonly string[] }
  | { readonly line: number; readonly faults: readonly { line: number; fault: Fault }[] };

export function readRow<F extends FormName>(form: F, row: Row): ReadExample<F> {
  if ("faults" in row) return faulty(row, row.faults);
  const read = readLine(form, row.fields);
  if ("faults" in read) return faulty(row, read.faults);
  const faults = checkExample(form, read.line);
  if (faults.length > 0) return faulty(row, faults);
  return { line: row.line, example: read.line, ignored: ignoredIn(form, row.fields) };
}

function faulty({ line, tokenLines }: Row, faults: readonly TokenFault[]) {
  // Where each token has a line, each fault is of another line.
  const told = tokenLines === true ? faults : faults.slice(0, trainingLimits.problemsPerLineMax);
  const placed = told.map(({ token = 0, ...fault }) => ({
    line: tokenLines === true ? line + token : line,
    fault,
  }));
  return { line, faults: placed };
}

/** A name may be as long as a line. */
const fieldCharactersMax = 100;

function ignoredIn(form: FormName, fields: Fields): string[] {
  const { all } = fieldsOf(form);
  return Object.keys(renameFields(fields))
    .filter((name) => !all.includes(name))
    .map((name) => cutText(name, fieldCharactersMax));
}

/** The form that the first line with one has: for a file whose head holds no whole line. */
export function formOfRow(row: Row): FormName | null {
  return "fields" in row ? formOf(renameFields(row.fields)) : null;
}

export type ExamplesOptions<F extends FormName> = {
  /** As the report of the file says. */
  form: F;
  /** The labels of the training file's report; an example with another is passed over. Null: the form has none. */
  labels: ReadonlySet<string> | null;
  signal: AbortSignal;
};

/**
 * The good examples of a file, those that its report counts, in its order, some at a time; bad ones are passed over.
 * Others have the event loop between them.
 * @throws what the source throws, or the signal's reason
 */
export async function* readExamples<F extends FormName>(
  source: DataSource,
  { form, labels, signal }: ExamplesOptions<F>,
): AsyncGenerator<{ line: number; example: Line<F> }[]> {
  const file = await openDataFile(source);
  const slices = new TimeSlices(signal);
  const isKnown = (label: string) => labels?.has(label) !== false;
  let left: number = trainingLimits.examplesMax;
  try {
    if ("problems" in file.head) return;
    for await (const rows of file.rows(file.head.layout)) {
      const read = await slices.map(rows, (row) => {
        const each = readRow(form, row);
        if ("faults" in each) return [];
        const { line, example } = each;
        return wordsOf(form, example).labels?.every(isKnown) === false ? [] : [{ line, example }];
      });
      const good = read.flat().slice(0, left);
      yield good;
      if ((left -= good.length) === 0) return;
    }
  } finally {
    await file.close();
  }
}
