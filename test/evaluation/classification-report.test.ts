/** Reports, tables and confusion matrices are scikit-learn's; those of entities seqeval's. */
import { describe, expect, it } from "vitest";
import { classCounts, labelSetCounts } from "../../gpu-worker/evaluation/class-counts.ts";
import { classificationReport } from "../../gpu-worker/evaluation/classification-report.ts";
import { boundConfusion, confusionCounts } from "../../gpu-worker/evaluation/confusion-matrix.ts";
import { reportDict, reportText, toFixedEven } from "../../gpu-worker/evaluation/report-text.ts";
import type { RowCounts } from "../../gpu-worker/evaluation/row-counts.ts";
import { entityCounts, tokenCounts } from "../../gpu-worker/evaluation/tag-counts.ts";
import { flatReport, nearlyEqual, references } from "./references.ts";

type Dict = Parameters<typeof flatReport>[0];

function expectReport(counts: RowCounts, expected: { dict: object; text: string }): void {
  const report = classificationReport(counts);
  const found = flatReport(reportDict(report));
  expect(nearlyEqual(found, flatReport(expected.dict as Dict)), JSON.stringify(found)).toBe(true);
  expect(reportText(report)).toBe(withWholeSupport(expected.text));
}

/** Where no row is right, scikit-learn writes supports as 1.0. */
function withWholeSupport(text: string): string {
  return text.replaceAll(/(\d+)\.0$/gm, "  $1");
}

describe("one class each", () => {
  it.each(references.classification)("is scikit-learn's report: $name", (each) => {
    const counts = classCounts(each.gold, each.predicted, each.labels ?? undefined);
    expectReport(counts, each);
    expect(reportText(classificationReport(counts), 4)).toBe(withWholeSupport(each.text4));
  });

  it.each(references.classification)("is scikit-learn's confusion matrix: $name", (each) => {
    const { labels, cells } = confusionCounts(each.gold, each.predicted);
    const dense = labels.map((_, meant) =>
      labels.map((__, said) => cells.get(meant)?.get(said) ?? 0),
    );
    expect(dense).toEqual(each.confusion);
  });

  it("is nothing but zeros without rows, and has no accuracy", () => {
    const report = classificationReport(classCounts([], []));
    expect(report.accuracy).toBeNull();
    expect(report.classes).toEqual([]);
    expect(report.macro).toEqual({ precision: 0, recall: 0, f1: 0, support: 0 });
    expect(reportText(report)).not.toContain("NaN");
  });

  it("sorts as Python does, and takes names that objects have for names", () => {
    const labels = ["\u{1F600}", "\uFFFD", "__proto__", "constructor", "toString"];
    const report = classificationReport(classCounts(labels, labels));
    expect(report.classes.map(({ label }) => label)).toEqual([
      "__proto__",
      "constructor",
      "toString",
      "\uFFFD",
      "\u{1F600}",
    ]);
    expect(report.accuracy).toBe(1);
  });

  it("refuses lists of different lengths", () => {
    expect(() => classCounts(["a"], [])).toThrow(/1 rows.*0/);
    expect(() => confusionCounts(["a"], [])).toThrow(RangeError);
  });
});

describe("several classes each", () => {
  it.each(references.multiLabel)("is scikit-learn's report: $name", (each) => {
    const counts = labelSetCounts(each.gold, each.predicted, each.labels);
    const report = classificationReport(counts, { severalLabels: true });
    const found = flatReport(reportDict(report));
    expect(nearlyEqual(found, flatReport(each.dict as Dict)), JSON.stringify(found)).toBe(true);
    expect(reportText(report)).toBe(each.text);
  });
});

describe("entities", () => {
  it.each(references.tags)("are seqeval's: $name", (each) => {
    expectReport(entityCounts(each.gold, each.predicted, "default"), {
      dict: each.default,
      text: each.defaultText,
    });
    expectReport(entityCounts(each.gold, each.predicted, "strict"), {
      dict: each.strict,
      text: each.strictText,
    });
  });

  it("refuse by name what is no tag, and sentences of different lengths", () => {
    expect(() => entityCounts([["X-PER"]], [["O"]], "strict")).toThrow(/"X-PER" is no tag of IOB2/);
    expect(() => entityCounts([[""]], [["O"]], "default")).toThrow(/a tag is empty/);
    expect(() => entityCounts([["O"], ["O", "O"]], [["O"], ["O"]], "default")).toThrow(
      "sentence 1 has 2 tags and 1 predictions",
    );
  });
});

describe("tokens", () => {
  it("are scikit-learn's report of all tags in one row, with O and without", () => {
    const [tags] = references.tags;
    const [gold, predicted] = [tags?.gold ?? [], tags?.predicted ?? []];
    const flat = classificationReport(classCounts(gold.flat(), predicted.flat()));
    const all = classificationReport(tokenCounts(gold, predicted, { withOutside: true }));
    expect(all).toEqual(flat);
    const named = flat.classes.map(({ label }) => label).filter((label) => label !== "O");
    expect(classificationReport(tokenCounts(gold, predicted, { withOutside: false }))).toEqual(
      classificationReport(classCounts(gold.flat(), predicted.flat(), named)),
    );
  });
});

describe("a confusion matrix of many classes", () => {
  it("keeps those that are confused most, and adds all others up", () => {
    const gold = Array.from({ length: 30_000 }, (_, at) => `class ${at % 10_000}`);
    const predicted = gold.map((label, at) => (at < 20_000 ? label : "class 7"));
    const bound = boundConfusion(confusionCounts(gold, predicted));
    expect(bound.labels).toHaveLength(25);
    expect(bound.labels).toContain("class 7");
    expect(bound.labels.at(-1)).toBe("9976 other classes");
    expect(bound.classes_total).toBe(10_000);
    expect(bound.cells.reduce((total, [, , count]) => total + count, 0)).toBe(30_000);
  });

  it("tells names apart that differ only in what is cut off", () => {
    const names = ["a", "b"].map((end) => "x".repeat(1_000) + end);
    const { labels } = boundConfusion(confusionCounts(names, names));
    expect(new Set(labels).size).toBe(2);
    expect(labels.every((label) => label.length <= 120)).toBe(true);
  });
});

describe("toFixedEven", () => {
  // Python's f"{x:.2f}".
  it.each([
    [0.125, "0.12"],
    [0.375, "0.38"],
    [0.625, "0.62"],
    [0.005, "0.01"],
    [0.145, "0.14"],
    [0.015, "0.01"],
    [1, "1.00"],
    [0, "0.00"],
  ])("rounds %d as Python", (value, text) => {
    expect(toFixedEven(value, 2)).toBe(text);
  });
});
