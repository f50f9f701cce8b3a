/** The report of a training that has ended, and the size of what came of it. */
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import { makeReport } from "../evaluation/make-report.ts";
import { elementCount } from "../tensor/shape.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import type { TrainingEnd } from "./run-training.ts";

export type ReportFacts = Pick<
  TrainingReport,
  "task" | "base_model" | "base_kind" | "tuned_model"
> & {
  /** That were trained with. */
  readonly examples: number;
  readonly baseBytes: number;
  /** The tensors that are written, and where their shapes are. */
  readonly written: { readonly weights: WeightSource; readonly names: readonly string[] };
};

export function trainingReport(
  { examples, baseBytes, written, ...stated }: ReportFacts,
  { stopped, heldOut, progress }: TrainingEnd,
): TrainingReport {
  const { weights, names } = written;
  const numbers = names.map((name) => elementCount(weights.entry(name)?.shape ?? []));
  return makeReport({
    ...stated,
    form: "f32",
    training_rows: examples,
    stopped,
    heldOut,
    target: null,
    steps: progress.metrics,
    sizes: [],
    latency: { base: null, tuned: null },
    size: {
      base_bytes: baseBytes,
      tuned_bytes: numbers.reduce((sum, count) => sum + 4 * count, 0),
    },
  });
}
