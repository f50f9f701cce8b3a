/**
 * Files of classified texts as examples to train with and examples that are held out. A relation is a class of a text
 * with two marked parts, which a checkpoint reads with its marks (pipelines/relation-head.ts).
 */
import type { FormName, Line } from "#contract/training/forms.ts";
import { placeOfLabel, unknownLabels } from "#contract/training/label-names.ts";
import type { DataReport } from "#contract/training/report.ts";
import type { DataSource } from "../datasets/data-file.ts";
import { wordsOf } from "../datasets/example-words.ts";
import { DataError, linesOf, partsOf } from "./checked-data.ts";
import type { DataFiles } from "./checked-data.ts";
import type { TrainingText } from "./encode-texts.ts";
import type { TextData, TextPart, TextTargets } from "./text-classes.ts";

const textForms = ["single-label", "multi-label", "regression"] as const;
type ExampleForm = (typeof textForms)[number];
export type TextForm = ExampleForm | "relation";
type Example = { readonly [F in ExampleForm]: { form: F; line: Line<F> } }[ExampleForm];

const labelOfNumbers = "score";

/** Of relations: none of those that were asked for, and so not scored (Hendrickx et al., SemEval-2010 task 8). */
const noRelation = "Other";

export function isTextForm(form: FormName | null): form is TextForm {
  return form === "relation" || textForms.some((each) => each === form);
}

function textOf(line: { text: string; text_pair?: string | undefined }): TrainingText {
  return line.text_pair === undefined ? line.text : { text: line.text, text_pair: line.text_pair };
}

/** @throws TypeError where the lines are not of the form */
function targetsOf(
  examples: readonly Example[],
  labels: readonly string[],
  form: ExampleForm,
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

function partOf(
  examples: readonly Example[],
  labels: readonly string[],
  form: ExampleForm,
): TextPart {
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
      return (await linesOf(source, form, options)).map((line) => ({ form, line }));
    case "multi-label":
      return (await linesOf(source, form, options)).map((line) => ({ form, line }));
    case "regression":
      return (await linesOf(source, form, options)).map((line) => ({ form, line }));
    case "relation": {
      const lines = await linesOf(source, form, options);
      return lines.map((line) => ({ form: "single-label", line }));
    }
  }
}

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

function describe(example: Example) {
  const { text, labels } = wordsOfExample(example);
  return { text, labels: labels ?? [] };
}

/** Numbers are the places of names. @throws DataError */
function classesOf(
  examples: readonly Example[],
  names: readonly string[],
  form: TextForm,
): Example[] {
  const unknown = new Set<string>();
  const named = (label: string) => {
    const place = placeOfLabel(names, label, form);
    if (place === null) unknown.add(label);
    return names[place ?? 0] ?? "";
  };
  const read = examples.map((each): Example => {
    const { form: kind, line } = each;
    switch (kind) {
      case "single-label":
        return { form: kind, line: { ...line, label: named(line.label) } };
      case "multi-label":
        return { form: kind, line: { ...line, label: line.label.map(named) } };
      case "regression":
        return {
          form: "single-label",
          line: { text: line.text, label: named(String(line.score)) },
        };
    }
  });
  if (unknown.size === 0) return read;
  throw new DataError(unknownLabels(names, [...unknown], form), "label_names");
}

/**
 * @param report of the same files
 * @throws DataError where nothing can be held out, or a label has none of the names; what a source throws; the signal's
 *   reason
 */
export async function readTextData(
  files: DataFiles,
  { training: { labels: counted } }: DataReport,
  {
    form,
    names,
    seed,
    signal,
  }: {
    readonly form: TextForm;
    /** Of classes, by their index; null: of those that there are, in their order. */
    readonly names: readonly string[] | null;
    readonly seed: number;
    readonly signal: AbortSignal;
  },
): Promise<TextData> {
  const found = counted?.map(({ label }) => label).toSorted() ?? null;
  const labels = names ?? found ?? [labelOfNumbers];
  const options = { labels: found === null ? null : new Set(found), signal };
  const read = async (source: DataSource) => {
    const examples = await readAll(source, form, options);
    return names === null ? examples : classesOf(examples, names, form);
  };
  const { training, heldOut } = await partsOf(files, { seed, read, describe });
  const kind = kindOf(form, names !== null);
  return {
    labels,
    ignoredLabel: form === "relation" && labels.includes(noRelation) ? noRelation : null,
    training: partOf(training, labels, kind),
    heldOut: partOf(heldOut, labels, kind),
  };
}

function kindOf(form: TextForm, isNamed: boolean): ExampleForm {
  if (form === "relation") return "single-label";
  return form === "regression" && isNamed ? "single-label" : form;
}
