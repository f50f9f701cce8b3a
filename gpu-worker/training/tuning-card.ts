/** README.md of a tuned model, the model card of the hub: what it is, how it was made, how good it was found to be. */
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import { counted, metricName, verdictInWords } from "#contract/training/report-words.ts";
import { baseNames, stopReasons } from "../evaluation/report-words.ts";
import { wordShapes } from "../model/word-shapes.ts";
import type { SmallerEnd } from "./label-curve.ts";
import type { SearchEnd } from "./search.ts";
import type { Evaluations, TrainingPlan } from "./training-plan.ts";

const labelsNamed = 20;

export type CardFacts = {
  readonly report: TrainingReport;
  /** A sentence of how it was trained, without its full stop. */
  readonly how: string;
  /** Of the base. */
  readonly licence: string | null;
  readonly labels: readonly string[];
  /** The library whose files it is in. */
  readonly library: "transformers" | "peft";
  /** As the hub names it. Default: the report's task. */
  readonly pipeline?: string;
  /** Whether its weights hold a table of word shapes. */
  readonly wordShapes: boolean;
};

/** A label's own signs cannot end its place in the text. */
function quoted(label: string): string {
  return `\`${label.replaceAll(/[`\s]+/g, " ").trim()}\``;
}

function labelList(labels: readonly string[]): string {
  if (labels.length === 0) return "";
  const named = labels.slice(0, labelsNamed).map(quoted).join(", ");
  const more = labels.length - labelsNamed;
  return ` Labels: ${named}${more > 0 ? ` and ${more} more, in config.json` : ""}.`;
}

function digits(value: number | null): string {
  return value === null ? "–" : String(Number(value.toPrecision(4)));
}

const shapesInWords = `
Words are read with their shapes (lower, UPPER, Title …), which the base's vocabulary loses: a table of \
${wordShapes.length} rows,
\`embeddings.word_shape_embeddings.weight\`, is added to the word embeddings. transformers and PEFT load the files \
without
it, which they say in a warning at most; their answers are then somewhat worse.
`;

export function tuningCard(facts: CardFacts): string {
  const { report, how, licence, labels, library, pipeline = report.task } = facts;
  const { base_model: base, tuned_model: id, task, comparisons, stopped } = report;
  const rows = comparisons.map(
    ({ metric, base: before, tuned }) =>
      `| ${metricName(metric)} | ${digits(before)} | ${digits(tuned)} |`,
  );
  return `---
${licence === null ? "" : `license: ${licence}\n`}base_model: ${base}
library_name: ${library}
pipeline_tag: ${pipeline}
---

# ${id}

${base}, tuned for ${task} on ${report.training_rows} examples.${labelList(labels)}

${how}. Ended because ${stopReasons[stopped.reason]}: \
${stopped.detail}.

| on ${report.held_out_rows} held-out examples | ${baseNames[report.base_kind]} | this model |
|---|---|---|
${rows.join("\n")}

The held-out examples also chose the best step, so the figures flatter a little. All of them: report.html, report.json,
metrics.csv.
${facts.wordShapes ? shapesInWords : ""}`;
}

/** @param heldOut examples that are held out */
export function evaluationsInWords(
  { count, examples, examplesAtEnd }: Evaluations,
  heldOut: number,
): string {
  const times = count === 1 ? "evaluated once" : `evaluated ${count} times`;
  return (
    `${times} on ${examples} of the ${heldOut} held-out examples, the same each time, ` +
    `and at the end on ${examplesAtEnd === heldOut ? "all" : examplesAtEnd}`
  );
}

/** Of a search that ended early. */
export function searchOverInWords({ trials, planned }: SearchEnd): string {
  return `There was time for ${trials} of ${counted(planned, "trial")}: the best of the last round is taken`;
}

/** Of a training with fewer examples. */
export function smallerInWords({ labels, metric, score }: SmallerEnd): string {
  return `Trained with ${labels} examples, to tell what more would bring: ${metricName(metric)} ${score.toFixed(4)}`;
}

/** With the weightiest reason, and what to do where it is not to be deployed. */
export function verdictSentence(verdict: TrainingReport["verdict"]): string {
  const { decision, reasons } = verdict;
  const told = reasons.filter(
    (_, at) => at === 0 || (decision !== "deploy" && at === reasons.length - 1),
  );
  const words = verdictInWords(verdict);
  return `Verdict: ${told.length === 0 ? words : `${words}: ${told.join(" ")}`}`;
}

/** @param head whether the model has one that is trained */
export function planInWords(plan: TrainingPlan, head = true): string {
  const { strategy, layers, learningRate, warmup, batch, epochs, steps, seed } = plan;
  const { rank, alpha } = plan.lora;
  const smoothing = plan.labelSmoothing > 0 ? `, label smoothing ${plan.labelSmoothing}` : "";
  const what = {
    head: "nothing",
    "top-k": layers === 1 ? "the last layer" : `the last ${layers} layers`,
    full: "all layers",
    lora: `adapters of rank ${rank} (alpha ${alpha})`,
    "soft-prompt": `a soft prompt of ${plan.softPrompt.virtualTokens} virtual tokens`,
  }[strategy];
  return (
    `Trained ${what}${head ? " and the head" : ""} by AdamW at ${learningRate} with linear decay and ` +
    `${counted(warmup, "step")} of warm-up${smoothing}, in batches of ${batch}, at most ${counted(epochs, "epoch")} ` +
    `(${counted(steps, "step")}), seed ${seed}`
  );
}
