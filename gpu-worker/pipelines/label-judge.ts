/**
 * Which label a text has, by a model that was trained for the labels, or by one that compares a text with their names
 * (zero-shot). The tasks of these names do the reading.
 */
import { CodedError } from "#contract/errors.ts";
import type { Usage } from "#contract/result-document.ts";
import type { Label } from "#contract/tasks/fields.ts";
import type { Judgement } from "../augmentation/screen-candidates.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { TaskContext } from "./pipeline.ts";
import { sequenceHeadOf } from "./sequence-head.ts";
import { textClassification } from "./text-classification.ts";
import { zeroShotClassification } from "./zero-shot-classification.ts";

export type LabelJudge = {
  readonly by: "classifier" | "entailment" | "similarity";
  /** @param texts each with the label that it is to have */
  judge(
    texts: readonly { text: string; label: string }[],
    context: TaskContext,
  ): Promise<{ judgements: Judgement[]; usage: Usage }>;
};

/** @throws CodedError for a model that does not know these labels */
export function labelJudge(
  model: EncoderModel,
  labels: readonly string[],
  zeroShot: boolean,
): LabelJudge {
  return zeroShot ? byNames(model, labels) : byClasses(model, labels);
}

function byClasses(model: EncoderModel, labels: readonly string[]): LabelJudge {
  const head = sequenceHeadOf(model);
  if (head === null || head.problem === "regression")
    throw wrong(`${model.id} gives texts no labels. Name a classifier, or set zero_shot to true.`);
  const missing = labels.find((label) => !head.labels.includes(label));
  if (missing !== undefined) {
    const known = head.labels.slice(0, 10).join(", ");
    throw wrong(
      `${model.id} knows no label ${JSON.stringify(missing.slice(0, 100))}. It knows ${known}` +
        `${head.labels.length > 10 ? " and others" : ""}. Name another judge, or set zero_shot to true.`,
    );
  }
  return {
    by: "classifier",
    async judge(texts, context) {
      const inputs = texts.map(({ text }) => text);
      const request = {
        task: "text-classification" as const,
        inputs,
        parameters: { truncate: true },
      };
      const { outputs, usage } = await textClassification.answer(request, model, context);
      return { judgements: outputs.map((each, at) => judgementOf(each, texts[at]?.label)), usage };
    },
  };
}

function byNames(model: EncoderModel, labels: readonly string[]): LabelJudge {
  const head = sequenceHeadOf(model);
  const names = readableNames(labels);
  const nameOf = new Map(labels.map((label, at) => [label, names[at] ?? label]));
  const labelOf = new Map(labels.map((label, at) => [names[at] ?? label, label]));
  return {
    by: head === null ? "similarity" : "entailment",
    async judge(texts, context) {
      const request = {
        task: "zero-shot-classification" as const,
        inputs: texts.map(({ text }) => text),
        parameters: { candidate_labels: names, truncate: true },
      };
      const { outputs, usage } = await zeroShotClassification.answer(request, model, context);
      const judgements = outputs.map((each, at) => {
        const { best, score } = judgementOf(each, nameOf.get(texts[at]?.label ?? ""));
        return { best: labelOf.get(best) ?? best, score };
      });
      return { judgements, usage };
    },
  };
}

/** `card_arrival` as words, unless two labels would read the same. */
function readableNames(labels: readonly string[]): string[] {
  const names = labels.map((label) => label.replaceAll(/[_\s]+/g, " ").trim() || label);
  return new Set(names).size === labels.length ? names : [...labels];
}

function judgementOf(ranked: readonly Label[], wanted: string | undefined): Judgement {
  return {
    best: ranked[0]?.label ?? "",
    score: ranked.find(({ label }) => label === wanted)?.score ?? 0,
  };
}

function wrong(message: string): CodedError {
  return new CodedError("invalid_value", message, { param: "judge" });
}
