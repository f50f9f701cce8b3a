/** Reports of every kind of rows: within the contract's bounds, of the figures' own code, and the same each time. */
import { describe, expect, it } from "vitest";
import { reportBounds, TrainingReport } from "../../contract/training/evaluation-report.ts";
import { type HeldOut, majorityPredictions } from "../../gpu-worker/evaluation/held-out.ts";
import { makeReport } from "../../gpu-worker/evaluation/make-report.ts";
import { metricsCsv } from "../../gpu-worker/evaluation/metrics-csv.ts";
import { references } from "./references.ts";
import { classRows, reportInput } from "./report-input.ts";

const small = classRows(["a", "b", "c"], 10);

function headline(heldOut: HeldOut) {
  const [first] = makeReport(reportInput(heldOut)).comparisons;
  return [first?.metric, ...[first?.base, first?.tuned].map((value) => Number(value?.toFixed(12)))];
}

function rounded(value: number): number {
  return Number(value.toFixed(12));
}

function noTags(): never {
  throw new Error("references.json has no tags");
}

describe("a report", () => {
  it("has the figures of both systems, and is the same from the same input", () => {
    const report = makeReport(reportInput(small));
    expect(makeReport(reportInput(small))).toEqual(report);
    expect(report.comparisons.map(({ metric }) => metric)).toEqual([
      "accuracy",
      "macro_f1",
      "weighted_f1",
    ]);
    expect(report.comparisons[0]).toMatchObject({ base: 1 / 3, tuned: 0.9 });
    expect(report.mcnemar).toMatchObject({ only_base: 1, only_tuned: 18 });
    expect(report.verdict.decision).toBe("deploy");
    expect(report.tables.map(({ system }) => system)).toEqual(["base", "tuned"]);
    expect(report.regressions).toEqual({
      total: 1,
      worst: [
        {
          row: 0,
          text: "text 0 of a",
          expected: "a",
          base: "a",
          tuned: "b",
          base_score: 1,
          tuned_score: 0,
        },
      ],
    });
    expect(TrainingReport.parse(JSON.parse(JSON.stringify(report)))).toEqual(report);
  });

  it("shows the surest mistakes first, and counts the others", () => {
    const expected = Array.from({ length: 60 }, () => "a");
    const confidences = expected.map((_, row) => (row * 37) % 60);
    const { regressions } = makeReport(
      reportInput({
        kind: "classes",
        texts: expected,
        expected,
        base: { values: expected },
        tuned: { values: expected.map(() => "b"), confidences },
      }),
    );
    expect(regressions.total).toBe(60);
    expect(regressions.worst).toHaveLength(reportBounds.regressionsMax);
    const shown = regressions.worst.map(({ row }) => confidences[row]);
    expect(shown).toEqual(Array.from({ length: 20 }, (_, at) => 59 - at));
  });

  it("leaves a label out of the scores of relations, not out of the accuracy", () => {
    const heldOut: HeldOut = {
      kind: "classes",
      ignoredLabel: "Other",
      texts: ["", "", "", ""],
      expected: ["Other", "A(e1,e2)", "A(e2,e1)", "Other"],
      base: majorityPredictions(["Other", "Other", "A(e1,e2)"], 4),
      tuned: { values: ["A(e1,e2)", "A(e1,e2)", "A(e2,e1)", "Other"] },
    };
    const { comparisons } = makeReport(reportInput(heldOut));
    // Precision of A(e1,e2) is 1/2: F1 2/3; of A(e2,e1) 1.
    expect(comparisons[0]).toMatchObject({ metric: "macro_f1", base: 0 });
    expect(comparisons[0]?.tuned).toBeCloseTo(5 / 6, 12);
    expect(comparisons[1]).toMatchObject({ metric: "accuracy", base: 0.5, tuned: 0.75 });
  });

  it("has tags by entity and by token", () => {
    const { gold, predicted, default: entities, strict } = references.tags[0] ?? noTags();
    const report = makeReport(
      reportInput({
        kind: "tags",
        texts: gold.map((tags) => tags.join(" ")),
        expected: gold,
        base: { values: gold.map((tags) => tags.map(() => "O")) },
        tuned: { values: predicted },
      }),
    );
    expect(report.comparisons.map(({ metric }) => metric)).toEqual([
      "entity_f1",
      "entity_strict_f1",
      "token_accuracy",
      "token_macro_f1",
      "token_f1_without_outside",
    ]);
    expect(report.comparisons[0]?.base).toBe(0);
    expect(report.comparisons[0]?.tuned).toBeCloseTo(entities["micro avg"]["f1-score"], 12);
    expect(report.comparisons[1]?.tuned).toBeCloseTo(strict["micro avg"]["f1-score"], 12);
    expect(report.tables).toHaveLength(8);
  });

  it("takes the other kinds", () => {
    const texts = ["one", "two", "three"];
    const numbers = {
      texts,
      expected: [1, 2, 3],
      base: { values: [3, 1, 2] },
      tuned: { values: [1, 2, 4] },
    };
    expect(headline({ kind: "similarities", ...numbers })).toEqual(["spearman", -0.5, 1]);
    expect(headline({ kind: "values", ...numbers })).toEqual([
      "mean_squared_error",
      2,
      rounded(1 / 3),
    ]);
    const answers = {
      expected: [["x y"], ["z"], []],
      base: { values: ["x", "q", ""] },
      tuned: { values: ["y x", "z", "no"] },
    };
    expect(headline({ kind: "answers", texts, ...answers })).toEqual([
      "answer_f1",
      rounded((2 / 3 + 1) / 3),
      rounded(2 / 3),
    ]);
    const logs = {
      base: { logLikelihoods: [-2, -2, -2] },
      tuned: { logLikelihoods: [-1, -1, -1] },
    };
    expect(headline({ kind: "texts", texts, tokens: [1, 1, 1], ...logs })).toEqual([
      "perplexity",
      rounded(Math.exp(2)),
      rounded(Math.exp(1)),
    ]);
    const sets = {
      labels: ["a", "b"],
      expected: [["a"], ["a", "b"], []],
      base: { values: [[], [], []] },
      tuned: { values: [["a"], ["b", "a"], ["a"]] },
    };
    expect(headline({ kind: "label_sets", texts, ...sets })).toEqual([
      "micro_f1",
      0,
      rounded(6 / 7),
    ]);
  });

  it("counts a question as right where the words of the answer are there in any order", () => {
    const { mcnemar } = makeReport(
      reportInput({
        kind: "answers",
        texts: ["q"],
        expected: [["x y"]],
        base: { values: ["x"] },
        tuned: { values: ["y x"] },
      }),
    );
    expect(mcnemar).toMatchObject({ only_base: 0, only_tuned: 1 });
  });
});

describe("what is odd", () => {
  const none = { texts: [], expected: [], base: { values: [] }, tuned: { values: [] } };

  it.each(["classes", "tags", "answers", "similarities", "values"] as const)(
    "is reported, not refused: no rows of %s",
    (kind) => {
      const report = makeReport(reportInput({ kind, ...none }));
      expect(report.comparisons[0]).toMatchObject({ base: null, tuned: null, interval: null });
      expect(report.verdict.decision).toBe("no_gain");
    },
  );

  it("is reported: one row, one class, all predictions equal", () => {
    const report = makeReport(reportInput(classRows(["only"], 1)));
    expect(report.held_out_rows).toBe(1);
    expect(report.verdict.decision).toBe("no_gain");
    const constant = {
      texts: ["a", "b"],
      expected: [1, 2],
      base: { values: [1, 1] },
      tuned: { values: [2, 2] },
    };
    const [first] = makeReport(reportInput({ kind: "similarities", ...constant })).comparisons;
    expect(first).toMatchObject({ base: null, tuned: null, interval: null });
  });

  it("is refused by name: what is no number, and lists of different lengths", () => {
    const number = {
      texts: ["a"],
      expected: [1],
      base: { values: [1] },
      tuned: { values: [Number.NaN] },
    };
    expect(() => makeReport(reportInput({ kind: "values", ...number }))).toThrow(
      "predicted[0] is NaN",
    );
    const unsure = { ...small, base: { ...small.base, confidences: [Number.NaN] } };
    expect(() => makeReport(reportInput(unsure))).toThrow("base.confidences[0] is NaN");
    const step = {
      step: 3,
      train_loss: Number.NaN,
      train_accuracy: null,
      valid_loss: null,
      valid_mean_token_accuracy: null,
    };
    expect(() => makeReport(reportInput(small, { steps: [step] }))).toThrow(
      "train_loss of step 3 is NaN",
    );
    expect(() => makeReport(reportInput({ ...small, texts: [] }))).toThrow(RangeError);
    expect(() => makeReport(reportInput({ ...small, tuned: { values: ["a"] } }))).toThrow(
      /30 rows.*1 are predictions/,
    );
  });

  it("is bounded: ten thousand classes, endless names and texts, a million steps", () => {
    const labels = Array.from({ length: 10_000 }, (_, at) => `${"name ".repeat(200)}${at}`);
    const steps = Array.from({ length: 1_000_000 }, (_, step) => ({
      step,
      train_loss: 1,
      train_accuracy: null,
      valid_loss: null,
      valid_mean_token_accuracy: null,
    }));
    const rows = {
      ...classRows(labels, 1),
      texts: labels.map(() => "\ud800\u0000x".repeat(1_000)),
    };
    const report = makeReport(
      reportInput(rows, { steps, bootstrap: { draws: 2, seed: 0, level: 0.9 } }),
    );
    expect(report.tables[1]).toMatchObject({ classes_total: 10_000 });
    expect(report.tables[1]?.classes).toHaveLength(reportBounds.classRowsMax);
    expect(report.learning_curve.steps).toHaveLength(reportBounds.curvePointsMax);
    expect(report.learning_curve.steps.at(-1)?.step).toBe(999_999);
    const json = JSON.stringify(report);
    expect(json.length).toBeLessThan(200_000);
    expect(json.isWellFormed() && !json.includes("\\u0000")).toBe(true);
  });
});

describe("a table of too many classes", () => {
  it("keeps the largest and the worst, in their order", () => {
    const expected = Array.from({ length: 300 }, (_, at) =>
      Array.from({ length: at < 150 ? 1 : 3 }, () => `class ${String(at).padStart(3, "0")}`),
    ).flat();
    const values = expected.map((label) => (label < "class 020" ? "class 299" : label));
    const [, tuned] = makeReport(
      reportInput({
        kind: "classes",
        texts: expected,
        expected,
        base: { values },
        tuned: { values },
      }),
    ).tables;
    const names = tuned?.classes.map(({ label }) => label) ?? [];
    expect(names).toEqual(names.toSorted());
    expect(names.filter((name) => name < "class 020")).toHaveLength(20);
    expect(names.filter((name) => name >= "class 150").length).toBeGreaterThanOrEqual(100);
  });
});

describe("metrics.csv", () => {
  it("has OpenAI's columns, and an empty cell where nothing was measured", () => {
    const step = {
      train_loss: 0.5,
      train_accuracy: null,
      valid_loss: 1e-7,
      valid_mean_token_accuracy: 1,
    };
    expect(metricsCsv([{ step: 1, ...step }])).toBe(
      "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n1,0.5,,1e-7,1\n",
    );
    expect(metricsCsv([]).split("\n")).toHaveLength(2);
    expect(() => metricsCsv([{ step: 2, ...step, valid_loss: Infinity }])).toThrow(
      "valid_loss of step 2 is Infinity",
    );
  });
});
