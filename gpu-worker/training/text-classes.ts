/**
 * Classification of texts as the loop trains and judges it: one class each, several, or a number. Logits become
 * answers as the service makes them (pipelines/text-classification.ts).
 */
import type { HeldOut, Predictions } from "../evaluation/held-out.ts";
import { majorityPredictions } from "../evaluation/held-out.ts";
import { sigmoid, softmax } from "../tensor/activations.ts";
import { float32, int64 } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { encodeTexts } from "./encode-texts.ts";
import type { TokenRow, TrainingText } from "./encode-texts.ts";
import { encodeRelations, partMasks } from "./relation-rows.ts";
import type { RelationRow } from "./relation-rows.ts";
import { drawMirrored, exchangeMarks, mirroredLabels } from "./mirrored-relations.ts";
import { classifiedRows, picked, relatedRows } from "./served-rows.ts";
import type { EncodedData, HeldOutPart, TaskData, TuningData } from "./training-task.ts";

export type TextPart = { readonly texts: readonly TrainingText[]; readonly targets: TextTargets };

export type TextData = {
  readonly labels: readonly string[];
  /** One that is predicted but not scored. */
  readonly ignoredLabel: string | null;
  readonly training: TextPart;
  readonly heldOut: TextPart;
};

/** What is said of each text, by the kind of problem. Classes are indices of labels. */
export type TextTargets =
  | { readonly problem: "single_label"; readonly classes: readonly number[] }
  | { readonly problem: "multi_label"; readonly classes: readonly (readonly number[])[] }
  | { readonly problem: "regression"; readonly values: readonly number[] };

export type TextExamples = {
  /** Of the classes; one name of a regression's number. */
  readonly labels: readonly string[];
  readonly targets: TextTargets;
};

function labelsFeed({ labels, targets }: TextExamples, indices: readonly number[]): Tensor {
  switch (targets.problem) {
    case "single_label":
      return int64(
        [indices.length],
        indices.map((at) => targets.classes[at] ?? 0),
      );
    case "multi_label": {
      const rows = indices.flatMap((at) => {
        const own = new Set(targets.classes[at]);
        return labels.map((_, index) => Number(own.has(index)));
      });
      return float32([indices.length, labels.length], rows);
    }
    case "regression":
      return float32(
        [indices.length],
        indices.map((at) => targets.values[at] ?? NaN),
      );
  }
}

function textTask(examples: TextExamples): TaskData {
  return {
    task: { name: "sequence-classification", problem: examples.targets.problem },
    feeds: (indices) => ({ labels: labelsFeed(examples, indices) }),
  };
}

/** The majority is counted in the examples that are trained with. */
function heldOutTexts(data: TextData): HeldOutPart["data"] & {
  judge(logits: readonly Float32Array[]): HeldOut;
} {
  const { labels, ignoredLabel, training, heldOut } = data;
  const texts = heldOut.texts.map(shown);
  const examples = { labels, ignoredLabel, targets: heldOut.targets, texts };
  return {
    ...textTask(examples),
    judge: (logits) => judge(examples, training.targets, logits),
  };
}

/** From so many on, classes are told apart worse by a text's first vector than by the mean of all. */
const manyClasses = 20;

/** Of which each text has one. */
export function hasManyClasses({
  task,
  problem,
  labels,
}: Pick<TuningData, "task" | "problem" | "labels">): boolean {
  const isOfClasses = task === "text-classification" && problem === "single_label";
  return isOfClasses && labels.length >= manyClasses;
}

export function textTuning(
  task: "text-classification" | "relation-extraction",
  data: TextData,
): TuningData {
  const { labels, training, heldOut } = data;
  return {
    task,
    head: "sequence-classification",
    labels,
    outputs: labels.length,
    problem: training.targets.problem,
    examples: training.texts.length,
    async encode(model, signal) {
      if (task === "text-classification") {
        const taught = textTask({ labels, targets: training.targets });
        const rows = await encodeTexts(training.texts, model, signal);
        const judged = await encodeTexts(heldOut.texts, model, signal);
        return { training: { rows, data: taught }, heldOut: heldOutPart(data, judged) };
      }
      const encode = (texts: readonly string[]) => encodeRelations(texts, model, signal);
      const judged = await encode(markedTexts(heldOut));
      return {
        training: await taughtRelations(data, encode),
        heldOut: heldOutRelations(data, judged),
      };
    },
  };
}

function heldOutPart(data: TextData, rows: readonly TokenRow[]): HeldOutPart {
  const { labels, heldOut } = data;
  const texts = heldOut.texts.filter((text) => typeof text === "string");
  const isAsked = heldOut.targets.problem === "single_label" && texts.length === rows.length;
  return {
    rows,
    data: heldOutTexts(data),
    examples: rows.length,
    take: (examples) => heldOutPart(takeTexts(data, examples), picked(rows, examples)),
    served: (model) => classifiedRows(rows, model),
    ...(isAsked && { zeroShot: { inputs: texts, labels } }),
  };
}

function markedTexts({ texts }: TextPart): string[] {
  return texts.filter((text) => typeof text === "string");
}

/** Each batch reads some of its examples the other way round, where there is a label for that. */
async function taughtRelations(
  { labels, ignoredLabel, training }: TextData,
  encode: (texts: readonly string[]) => Promise<RelationRow[]>,
): Promise<EncodedData["training"]> {
  const { targets } = training;
  const texts = markedTexts(training);
  const rows = await encode(texts);
  const mirrors = mirroredLabels(labels, ignoredLabel);
  if (mirrors === null || targets.problem !== "single_label") {
    return { rows, data: withParts(textTask({ labels, targets }), rows) };
  }
  const { classes } = targets;
  const mirrored = classes.map((own) => mirrors[own] ?? null);
  const exchanged = await encode(texts.map(exchangeMarks));
  const both = [...rows, ...exchanged];
  const data = withParts(
    textTask({
      labels,
      targets: { ...targets, classes: [...classes, ...mirrored.map((mirror) => mirror ?? 0)] },
    }),
    both,
  );
  const drawn = (indices: readonly number[], draw: number) => {
    const isExchanged = drawMirrored(indices.length, draw);
    return indices.map((at, place) =>
      isExchanged[place] && mirrored[at] !== null ? at + rows.length : at,
    );
  };
  return {
    rows,
    data: {
      ...data,
      rowsOf: (indices, draw) => picked(both, drawn(indices, draw)),
      feeds: (indices, longest, draw) => data.feeds(drawn(indices, draw), longest, draw),
    },
  };
}

function heldOutRelations(data: TextData, rows: readonly RelationRow[]): HeldOutPart {
  return {
    rows,
    data: withParts(heldOutTexts(data), rows),
    examples: rows.length,
    take: (examples) => heldOutRelations(takeTexts(data, examples), picked(rows, examples)),
    served: (model) => relatedRows(rows, model),
  };
}

/** The places of a relation's parts beside its row. */
function withParts<T extends TaskData>(data: T, rows: readonly RelationRow[]): T {
  const feeds: TaskData["feeds"] = (indices, longest, draw) => ({
    ...data.feeds(indices, longest, draw),
    ...partMasks(picked(rows, indices), longest),
  });
  return { ...data, feeds };
}

/** With these of the texts that are held out. */
function takeTexts(data: TextData, examples: readonly number[]): TextData {
  const { texts, targets } = data.heldOut;
  return {
    ...data,
    heldOut: { texts: picked(texts, examples), targets: takeTargets(targets, examples) },
  };
}

function takeTargets(targets: TextTargets, examples: readonly number[]): TextTargets {
  switch (targets.problem) {
    case "single_label":
      return { ...targets, classes: picked(targets.classes, examples) };
    case "multi_label":
      return { ...targets, classes: examples.map((at) => targets.classes[at] ?? []) };
    case "regression":
      return { ...targets, values: picked(targets.values, examples) };
  }
}

function shown(text: TrainingText): string {
  return typeof text === "string" ? text : `${text.text} | ${text.text_pair}`;
}

type Judged = TextExamples & Pick<TextData, "ignoredLabel"> & { readonly texts: readonly string[] };

function judge(
  { texts, labels, ignoredLabel, targets }: Judged,
  trained: TextTargets,
  logits: readonly Float32Array[],
): HeldOut {
  const nameOf = (index: number) => labels[index] ?? "";
  if (targets.problem === "single_label" && trained.problem === "single_label") {
    return {
      kind: "classes",
      texts,
      expected: targets.classes.map(nameOf),
      base: majorityPredictions(trained.classes.map(nameOf), texts.length),
      tuned: surest(logits, labels),
      ...(ignoredLabel !== null && { ignoredLabel }),
    };
  }
  if (targets.problem === "multi_label" && trained.problem === "multi_label") {
    const sets = trained.classes.map((set) => JSON.stringify(set.toSorted((a, b) => a - b)));
    const { values } = majorityPredictions(sets, 1);
    const [commonest = "[]"] = values;
    const majority = trained.classes.find(
      (set) => JSON.stringify(set.toSorted((a, b) => a - b)) === commonest,
    );
    return {
      kind: "label_sets",
      texts,
      labels,
      expected: targets.classes.map((set) => set.map(nameOf)),
      base: { values: texts.map(() => (majority ?? []).map(nameOf)) },
      tuned: {
        values: logits.map((own) => labels.filter((_, at) => sigmoid(own[at] ?? 0) >= 0.5)),
      },
    };
  }
  if (targets.problem === "regression" && trained.problem === "regression") {
    const mean = trained.values.reduce((sum, value) => sum + value, 0) / trained.values.length;
    return {
      kind: "values",
      texts,
      expected: targets.values,
      base: { values: texts.map(() => mean) },
      tuned: { values: logits.map(([value = NaN]) => value) },
    };
  }
  throw new TypeError(`${targets.problem} is not judged by a ${trained.problem}`);
}

function surest(logits: readonly Float32Array[], labels: readonly string[]): Predictions<string> {
  const ranked = logits.map((own) => {
    const scores = softmax(own);
    const confidence = Math.max(...scores);
    return { label: labels[scores.indexOf(confidence)] ?? "", confidence };
  });
  return {
    values: ranked.map(({ label }) => label),
    confidences: ranked.map(({ confidence }) => confidence),
  };
}
