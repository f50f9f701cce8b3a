/** Intervals are near scipy's, McNemar's test is statsmodels', the power law scipy's least squares. */
import { describe, expect, it } from "vitest";
import { classCounts } from "../../gpu-worker/evaluation/class-counts.ts";
import { f1Metric } from "../../gpu-worker/evaluation/classification-report.ts";
import { errorAt, fitPowerLaw } from "../../gpu-worker/evaluation/fit-power-law.ts";
import { labelsNeeded, learningCurve } from "../../gpu-worker/evaluation/labels-needed.ts";
import { mcnemar } from "../../gpu-worker/evaluation/mcnemar.ts";
import { meanMetric, pearson } from "../../gpu-worker/evaluation/number-metrics.ts";
import { defaultBootstrap, pairedBootstrap } from "../../gpu-worker/evaluation/paired-bootstrap.ts";
import { summarizeLatency } from "../../gpu-worker/evaluation/summarize-latency.ts";
import { references } from "./references.ts";

const { bootstrap } = references;
const options = { draws: 20_000, seed: 5, level: 0.95 };

const pairs = {
  accuracy: { base: f1Of(bootstrap.base, "micro"), tuned: f1Of(bootstrap.tuned, "micro") },
  macro: { base: f1Of(bootstrap.base, "macro"), tuned: f1Of(bootstrap.tuned, "macro") },
  pearson: {
    base: pearson(bootstrap.truth, bootstrap.rough),
    tuned: pearson(bootstrap.truth, bootstrap.fine),
  },
};

function f1Of(predicted: string[], average: "micro" | "macro") {
  return f1Metric(classCounts(bootstrap.gold, predicted), average);
}

describe("the paired bootstrap", () => {
  it.each(["accuracy", "macro", "pearson"] as const)("is near scipy's interval: %s", (name) => {
    const rows = name === "pearson" ? bootstrap.truth.length : bootstrap.gold.length;
    const [low = 0, high = 0] = bootstrap.intervals[name];
    const found = pairedBootstrap(pairs[name], rows, options);
    // Two samples of 20 000 draws: ends differ by some hundredths of the interval's width.
    const slack = 0.04 * (high - low);
    expect(Math.abs((found?.low ?? NaN) - low)).toBeLessThan(slack);
    expect(Math.abs((found?.high ?? NaN) - high)).toBeLessThan(slack);
  });

  it("is the same from the same seed, and another from another", () => {
    const few = { ...options, draws: 200 };
    const first = pairedBootstrap(pairs.accuracy, 200, few);
    expect(pairedBootstrap(pairs.accuracy, 200, few)).toEqual(first);
    expect(pairedBootstrap(pairs.accuracy, 200, { ...few, seed: 6 })).not.toEqual(first);
  });

  it("draws pairs: a system beside itself never differs", () => {
    const same = { base: pairs.macro.base, tuned: pairs.macro.base };
    expect(pairedBootstrap(same, 200, { ...options, draws: 50 })).toMatchObject({
      low: 0,
      high: 0,
    });
  });

  it.each([
    [0, 1_000],
    [20_000, 1_000],
    [100_000, 200],
    [10_000_000, 100],
  ])("takes fewer draws of very many rows: %d", (rows, draws) => {
    expect(defaultBootstrap(rows).draws).toBe(draws);
  });

  it("is null without rows, and where a draw has no figure", () => {
    const none = { base: meanMetric([], "x"), tuned: meanMetric([], "x") };
    expect(pairedBootstrap(none, 0)).toBeNull();
    const tied = { base: pearson([1, 2, 3], [1, 2, 3]), tuned: pearson([1, 2, 3], [3, 2, 1]) };
    expect(pairedBootstrap(tied, 3)).toBeNull();
  });
});

describe("the latency", () => {
  it("has numpy's quantiles, in whatever order times come", () => {
    // np.percentile([5, 1, 9, 100], [50, 95])
    const found = summarizeLatency([5, 1, 9, 100]);
    expect(found?.p50_ms).toBe(7);
    expect(found?.p95_ms).toBeCloseTo(86.35, 10);
    expect(summarizeLatency([3])).toEqual({ p50_ms: 3, p95_ms: 3 });
  });

  it("is null of nothing, and refuses what is no time", () => {
    expect(summarizeLatency([])).toBeNull();
    expect(() => summarizeLatency([1, Number.NaN])).toThrow("milliseconds[1] is NaN");
  });
});

describe("McNemar's test", () => {
  it.each(references.mcnemar)("is statsmodels': $onlyBase, $onlyTuned", (each) => {
    const found = mcnemar(each.onlyBase, each.onlyTuned);
    expect(found.statistic).toBeCloseTo(each.statistic, 12);
    expect(found.p / each.p).toBeCloseTo(1, 10);
  });
});

describe("the learning curve", () => {
  it.each(references.curves)("is scipy's least squares: $name", ({ sizes, errors, ...law }) => {
    const points = sizes.map((labels, at) => ({ labels, error: errors[at] ?? 0 }));
    const found = fitPowerLaw(points);
    expect(found.root_mean_square).toBeLessThanOrEqual(law.rmse + 1e-9);
    expect(found.exponent).toBeCloseTo(law.b, 4);
    expect(found.floor).toBeCloseTo(law.c, 4);
    expect(found.scale / law.a).toBeCloseTo(1, 3);
  });

  const law = { scale: 2, exponent: 0.6, floor: 0.08, root_mean_square: 0 };
  const sizes = [50, 100, 200, 400, 800].map((labels) => ({
    labels,
    score: 1 - errorAt(law, labels),
  }));

  it("says how many more labels reach a figure, to two digits", () => {
    const goal = 1 - errorAt(law, 2_000);
    expect(labelsNeeded({ sizes, better: "higher", goal }).more).toBe(1_200);
    const errors = sizes.map(({ labels, score }) => ({ labels, score: 1 - score }));
    expect(labelsNeeded({ sizes: errors, better: "lower", goal: 1 - goal }).more).toBe(1_200);
  });

  it.each([
    ["too few sizes", sizes.slice(0, 3), 0.9, /3 numbers of labels/],
    ["no sizes", [], 0.9, /with fewer was not measured/],
    [
      "sizes close together",
      [500, 600, 700, 800].map((n) => point(n, 0.5 + n / 1e4)),
      0.9,
      /apart/,
    ],
    ["a goal beyond the floor", sizes, 0.95, /at any number/],
    ["a goal too far", sizes, 1 - errorAt(law, 9_000), /10 times as far/],
    ["a flat curve", [50, 100, 200, 400].map((n) => point(n, 0.7)), 0.9, /steadily/],
    ["a falling curve", [50, 100, 200, 400].map((n) => point(n, 0.9 - n / 1e3)), 0.9, /steadily/],
    ["a goal behind it", sizes, 1 - errorAt(law, 300), /something else/],
    [
      "a point that decides",
      [point(50, 0.5), point(100, 0.6), point(200, 0.62), point(400, 0.76)],
      0.85,
      /leaving out one point/,
    ],
  ])("is not known: %s", (_, points, goal, why) => {
    const found = labelsNeeded({ sizes: points, better: "higher", goal });
    expect(found).toEqual({ more: null, why: expect.stringMatching(why) });
  });

  it("refuses a score that is no number, by name", () => {
    expect(() => learningCurve([point(1, Number.NaN)], "higher")).toThrow("sizes.score[0] is NaN");
  });
});

function point(labels: number, score: number) {
  return { labels, score };
}
