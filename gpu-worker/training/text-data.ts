/**
 * Files of classified texts as examples to train with and examples that are held out: those of a validation file, or a
 * share of the training file's. A file with bad lines is refused.
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
import type { TrainingText } from "./encode-texts.ts";
import type { TextData, TextPart, TextTargets } from "./text-classes.ts";

/** Each is opened twice. */
export type DataFiles = {
  readonly training: () => Promise<DataSource>;
  /** Null: a share of the training file is held out. */
  readonly validation: (() => Promise<DataSource>) | null;
};

const textForms = ["single-label", "multi-label", "regression"] as const;
type TextForm = (typeof textForms)[number];
type Example = { readonly [F in TextForm]: { form: F; line: Line<F> } }[TextForm];

/** Of the examples, and so many at most: more would tell little more and take long at each evaluation. */
const heldOutShare = 0.2;
const heldOutMax = 2_000;

const labelOfNumbers = "score";

/** What is wrong with the data, in words for whoever brought it. */
export class DataError extends Error {}

function expectGood(report: DataReport): void {
  if (!hasProblems(report)) return;
  const problems = [report.training, report.validation].flatMap((file) => file?.problems ?? []);
  const shown = problems.slice(0, 5).map(wordsOfProblem);
  const more = problems.length > shown.length ? `\nand ${problems.length - shown.length} more` : "";
  throw new DataError(`the data cannot be trained with:\n${shown.join("\n")}${more}`);
}

function textFormOf(form: FormName | null): TextForm {
  const found = textForms.find((each) => each === form);
  if (found !== undefined) return found;
  throw new DataError(
    `the examples are of the form ${form ?? "none"}, and only ${textForms.join(", ")} are trained`,
  );
}

async function examplesOf<F extends TextForm>(
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

function textOf(line: { text: string; text_pair?: string | undefined }): TrainingText {
  return line.text_pair === undefined ? line.text : { text: line.text, text_pair: line.text_pair };
}

/** @throws TypeError where the lines are not of the form */
function targetsOf(
  examples: readonly Example[],
  labels: readonly string[],
  form: TextForm,
): TextTargets {
  const indexOf = new Map(labels.map((label, at) => [label, at]));
  const index = (label: string) => indexOf.get(label) ?? 0;
  switch (form) {
    case "single-label":
      return {
        problem: "single_label",
        classes: examples.flatMap((each) =>
          each.form === "single-label" ? [index(each.line.label)] : [],
        ),
      };
    case "multi-label":
      return {
        problem: "multi_label",
        classes: examples.flatMap((each) =>
          each.form === "multi-label" ? [[...new Set(each.line.label)].map(index)] : [],
        ),
      };
    case "regression":
      return {
        problem: "regression",
        values: examples.flatMap((each) => (each.form === "regression" ? [each.line.score] : [])),
      };
  }
}

function partOf(examples: readonly Example[], labels: readonly string[], form: TextForm): TextPart {
  return {
    texts: examples.map(({ line }) => textOf(line)),
    targets: targetsOf(examples, labels, form),
  };
}

async function readAll(
  source: DataSource,
  form: TextForm,
  options: { labels: ReadonlySet<string> | null; signal: AbortSignal },
): Promise<Example[]> {
  switch (form) {
    case "single-label":
      return (await examplesOf(source, form, options)).map((line) => ({ form, line }));
    case "multi-label":
      return (await examplesOf(source, form, options)).map((line) => ({ form, line }));
    case "regression":
      return (await examplesOf(source, form, options)).map((line) => ({ form, line }));
  }
}

type Parts = { training: Example[]; heldOut: Example[] };

function wordsOfExample(example: Example) {
  switch (example.form) {
    case "single-label":
      return wordsOf(example.form, example.line);
    case "multi-label":
      return wordsOf(example.form, example.line);
    case "regression":
      return wordsOf(example.form, example.line);
  }
}

function split(examples: readonly Example[], seed: number): Parts {
  const share = Math.min(heldOutShare, heldOutMax / examples.length);
  const described = examples.map((each) => {
    const { text, labels } = wordsOfExample(each);
    return { text, labels: labels ?? [] };
  });
  const { training, validation } = stratifiedSplit(described, { share, seed });
  const pick = (indices: readonly number[]) => indices.flatMap((at) => examples[at] ?? []);
  return { training: pick(training), heldOut: pick(validation) };
}

/** @throws DataError; what a source throws; the signal's reason */
export async function readTextData(
  { training, validation }: DataFiles,
  { seed, signal }: { readonly seed: number; readonly signal: AbortSignal },
): Promise<TextData> {
  const report = await judgeData(
    { training: await training(), validation: (await validation?.()) ?? null },
    { signal, tokens: null, onProgress: () => undefined },
  );
  expectGood(report);
  const form = textFormOf(report.training.form);
  const found = report.training.labels;
  const labels = found === null ? [labelOfNumbers] : found.map(({ label }) => label).toSorted();
  if (form === "single-label" && labels.length < 2) {
    throw new DataError(
      `every example is labelled ${labels[0]}: give examples of two labels or more`,
    );
  }
  const options = { labels: found === null ? null : new Set(labels), signal };
  const read = await readAll(await training(), form, options);
  const parts: Parts =
    validation === null
      ? split(read, seed)
      : { training: read, heldOut: await readAll(await validation(), form, options) };
  if (parts.heldOut.length === 0)
    throw new DataError("no example is held out: give more of each label");
  return {
    labels,
    training: partOf(parts.training, labels, form),
    heldOut: partOf(parts.heldOut, labels, form),
  };
}
