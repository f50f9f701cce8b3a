/** What a training says of its model. */
import type { TrainingReport } from "../../../contract/training/evaluation-report.ts";
import { miniLm } from "../stand-in-worker.ts";

export function reportWith(decision: "deploy" | "no_gain", f1: number): TrainingReport {
  return {
    version: 1,
    task: "text-classification",
    base_model: miniLm.id,
    tuned_model: "ft:x",
    base_kind: "majority",
    unserved: null,
    form: "f32",
    held_out_rows: 100,
    training_rows: 400,
    verdict: { decision, more_labels: null, reasons: [`macro F1 is ${f1}.`] },
    stopped: { reason: "completed", detail: "" },
    comparisons: [{ metric: "macro F1", better: "higher", base: 0.3, tuned: f1, interval: null }],
    mcnemar: null,
    tables: [],
    confusion: null,
    regressions: { total: 0, worst: [] },
    learning_curve: { steps: [], sizes: [], fit: null },
    latency: { base: null, tuned: null },
    size: { base_bytes: null, tuned_bytes: null },
  };
}
