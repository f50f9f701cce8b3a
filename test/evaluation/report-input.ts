/** Inputs of reports for tests: a small classification, whose fields a test replaces. */
import type { HeldOut } from "../../gpu-worker/evaluation/held-out.ts";
import type { ReportInput } from "../../gpu-worker/evaluation/make-report.ts";

export function reportInput(heldOut: HeldOut, others: Partial<ReportInput> = {}): ReportInput {
  return {
    task: "text-classification",
    base_model: "all-MiniLM-L6-v2",
    tuned_model: "ft:all-MiniLM-L6-v2:news:1",
    base_kind: "majority",
    form: "int8",
    unserved: null,
    training_rows: 400,
    stopped: { reason: "early_stopping", detail: "no gain in 3 evaluations" },
    latency: { base: { p50_ms: 3.5, p95_ms: 6 }, tuned: null },
    size: { base_bytes: 90_868_376, tuned_bytes: 1_843_200 },
    heldOut,
    target: null,
    steps: [],
    sizes: [],
    bootstrap: { draws: 50, seed: 1, level: 0.95 },
    ...others,
  };
}

/** Each label so many times; the base says the first always, the tuned model is wrong on the first row of each. */
export function classRows(labels: readonly string[], each: number): HeldOut & { kind: "classes" } {
  const expected = labels.flatMap((label) => Array.from({ length: each }, () => label));
  const [first = ""] = labels;
  const next = new Map(labels.map((label, at) => [label, labels[(at + 1) % labels.length] ?? ""]));
  return {
    kind: "classes",
    texts: expected.map((label, row) => `text ${row} of ${label}`),
    expected,
    base: { values: expected.map(() => first) },
    tuned: {
      values: expected.map((label, row) => (row % each === 0 ? (next.get(label) ?? "") : label)),
      confidences: expected.map((_, row) => (row % 7) / 7),
    },
  };
}
