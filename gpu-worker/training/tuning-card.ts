/** README.md of a tuned model, the model card of the hub: what it is, how it was made, how good it was found to be. */
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import type { TrainingPlan } from "./training-plan.ts";

const labelsNamed = 20;

export type CardFacts = {
  readonly report: TrainingReport;
  /** A sentence of how it was trained, without its full stop. */
  readonly how: string;
  /** Of the base. */
  readonly licence: string | null;
  readonly labels: readonly string[];
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

export function tuningCard({ report, how, licence, labels }: CardFacts): string {
  const { base_model: base, tuned_model: id, task, comparisons, stopped } = report;
  const rows = comparisons.map(
    ({ metric, base: before, tuned }) => `| ${metric} | ${digits(before)} | ${digits(tuned)} |`,
  );
  return `---
${licence === null ? "" : `license: ${licence}\n`}base_model: ${base}
library_name: transformers
pipeline_tag: ${task}
---

# ${id}

${base}, tuned for ${task} on ${report.training_rows} examples.${labelList(labels)}

${how}. Ended as ${stopped.reason}: \
${stopped.detail}.

| on ${report.held_out_rows} held-out examples | commonest answer | this model |
|---|---|---|
${rows.join("\n")}

The held-out examples also chose the best step, so the figures flatter a little. All of them: report.html, report.json,
metrics.csv.
`;
}

export function planInWords(plan: TrainingPlan): string {
  const { strategy, layers, learningRate, warmup, batch, epochs, steps, seed } = plan;
  const { rank, alpha } = plan.lora;
  const whole = strategy === "lora" ? `adapters of rank ${rank} (alpha ${alpha})` : "all layers";
  const what = strategy === "top-k" ? `the last ${layers} layers` : whole;
  return (
    `Trained ${what} and the head by AdamW at ${learningRate} with linear decay and ${warmup} steps of warm-up, in ` +
    `batches of ${batch}, at most ${epochs} epochs (${steps} steps), seed ${seed}`
  );
}
