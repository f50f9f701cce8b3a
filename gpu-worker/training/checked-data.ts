/**
 * Files of examples, judged before anything is trained with them, and the share that is held out where there is no
 * file of its own. A file with bad lines is refused, unless they are to be left out.
 */
import type { FormName, Line } from "#contract/training/forms.ts";
import { hasProblems } from "#contract/training/report.ts";
import type { DataReport } from "#contract/training/report.ts";
import { wordsOfProblem } from "#contract/training/problems.ts";
import type { DataSource } from "../datasets/data-file.ts";
import { wordsOf } from "../datasets/example-words.ts";
import { judgeData } from "../datasets/judge-data.ts";
import { readExamples } from "../datasets/read-examples.ts";
import { stratifiedSplit } from "../datasets/stratified-split.ts";
import type { SplitExample } from "../datasets/stratified-split.ts";

/** Each is opened twice. */
export type DataFiles = {
  readonly training: () => Promise<DataSource>;
  /** Null: a share of the training file is held out. */
  readonly validation: (() => Promise<DataSource>) | null;
};

/** What is wrong with the data, in words for whoever brought it. */
export class DataError extends Error {
  /** The field of a job that is to be mended. */
  readonly param: string;

  constructor(message: string, param = "training_file") {
    super(message);
    this.param = param;
  }
}

/**
 * Of the examples, and so many at most, which tell an accuracy of 0.9 to within 0.02: what is held out is not learnt
 * from, and each evaluation goes through it.
 */
const heldOutShare = 0.2;
const heldOutMax = 1_000;

function shareOf(examples: number): number {
  return Math.min(heldOutShare, heldOutMax / examples);
}

/** About so many of a file are held out where there is no other. */
export function usuallyHeldOut(examples: number): number {
  return Math.round(examples * shareOf(examples));
}

const problemsShown = 5;

/** @throws DataError; what a source throws; the signal's reason */
export async function judgeFiles(
  { training, validation }: DataFiles,
  { skipInvalid, signal }: { readonly skipInvalid: boolean; readonly signal: AbortSignal },
): Promise<DataReport> {
  const files = { training: await training(), validation: (await validation?.()) ?? null };
  const report = await judgeData(files, { signal, tokens: null, onProgress: () => undefined });
  expectUsable(report, skipInvalid);
  return report;
}

/** @throws DataError */
export function expectUsable(report: DataReport, skipInvalid: boolean): void {
  if (!hasProblems(report) || (skipInvalid && hasExamples(report))) return;
  const problems = [report.training, report.validation].flatMap((file) => file?.problems ?? []);
  const shown = problems.slice(0, problemsShown).map(wordsOfProblem);
  const more = problems.length > shown.length ? `\nand ${problems.length - shown.length} more` : "";
  throw new DataError(`the data cannot be trained with:\n${shown.join("\n")}${more}`);
}

/** Whether there are good ones in each file, and nothing wrong with it as a whole. */
function hasExamples({ training, validation }: DataReport): boolean {
  const files = validation === null ? [training] : [training, validation];
  return files.every(
    ({ examples, problems }) => examples > 0 && problems.every(({ line }) => line !== null),
  );
}

/** @param labels that an example may have; null: the form has none */
export async function linesOf<F extends FormName>(
  source: DataSource,
  form: F,
  { labels, signal }: { labels: ReadonlySet<string> | null; signal: AbortSignal },
): Promise<Line<F>[]> {
  const lines: Line<F>[] = [];
  for await (const some of readExamples(source, { form, labels, signal })) {
    for (const { example } of some) lines.push(example);
  }
  return lines;
}

export type Parts<T> = { readonly training: readonly T[]; readonly heldOut: readonly T[] };

/** @throws DataError where nothing is left to be held out */
export async function partsOf<T>(
  { training, validation }: DataFiles,
  {
    seed,
    read,
    describe,
  }: {
    readonly seed: number;
    readonly read: (source: DataSource) => Promise<readonly T[]>;
    readonly describe: (example: T) => SplitExample;
  },
): Promise<Parts<T>> {
  const all = await read(await training());
  const parts =
    validation === null
      ? split(all, all.map(describe), seed)
      : { training: all, heldOut: await read(await validation()) };
  if (parts.heldOut.length > 0) return parts;
  throw new DataError("no example is held out: give more of each label");
}

/** Of a form whose examples have no labels. Throws as `partsOf`. */
export async function unlabelledParts<F extends FormName>(
  files: DataFiles,
  form: F,
  { seed, signal }: { readonly seed: number; readonly signal: AbortSignal },
): Promise<Parts<Line<F>>> {
  return await partsOf(files, {
    seed,
    read: (source) => linesOf(source, form, { labels: null, signal }),
    describe: (example) => ({ text: wordsOf(form, example).text, labels: [] }),
  });
}

function split<T>(
  examples: readonly T[],
  described: readonly SplitExample[],
  seed: number,
): Parts<T> {
  const share = shareOf(examples.length);
  const { training, validation } = stratifiedSplit(described, { share, seed });
  const pick = (indices: readonly number[]) => indices.flatMap((at) => examples[at] ?? []);
  return { training: pick(training), heldOut: pick(validation) };
}
