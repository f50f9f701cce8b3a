/** What is advised, and that its reasons name the figures. */
import { describe, expect, it } from "vitest";
import type { Comparison } from "../../contract/training/evaluation-report.ts";
import { mcnemar } from "../../gpu-worker/evaluation/mcnemar.ts";
import { decide, type VerdictFacts } from "../../gpu-worker/evaluation/verdict.ts";

function comparison(base: number, tuned: number, range: [number, number] | null): Comparison {
  const interval =
    range === null ? null : { low: range[0], high: range[1], level: 0.95, draws: 1_000, seed: 0 };
  return { metric: "macro_f1", better: "higher", base, tuned, interval };
}

/** error = 2 · labels^-0.6 + 0.08 */
const sizes = [50, 100, 200, 400, 800].map((labels) => ({
  labels,
  score: 1 - (2 * labels ** -0.6 + 0.08),
}));

const gained = comparison(0.7, 0.88, [0.1, 0.25]);
const facts: VerdictFacts = {
  comparison: gained,
  heldOutRows: 200,
  mcnemar: null,
  target: null,
  sizes: [],
};

describe("the verdict", () => {
  it("is to deploy what is better beyond doubt", () => {
    const { decision, more_labels: more, reasons } = decide(facts);
    expect([decision, more]).toEqual(["deploy", null]);
    expect(reasons).toEqual([
      "Macro F1 went from 0.7 to 0.88: better, since the difference lies between 0.1 and 0.25 in 95 % of 1000 " +
        "resamples.",
    ]);
  });

  it("is to deploy a falling loss", () => {
    const loss = {
      ...comparison(3, 2, [-1.5, -0.5]),
      metric: "perplexity",
      better: "lower" as const,
    };
    expect(decide({ ...facts, comparison: loss }).decision).toBe("deploy");
    const risen = { ...loss, tuned: 4, interval: { ...loss.interval, low: 0.5, high: 1.5 } };
    const worse = decide({
      ...facts,
      comparison: { ...risen, interval: { level: 0.95, draws: 9, seed: 0, low: 0.5, high: 1.5 } },
    });
    expect(worse.decision).toBe("no_gain");
    expect(worse.reasons[0]).toMatch(/^Perplexity went from 3 to 4: worse/);
  });

  it.each([
    ["worse", comparison(0.8, 0.7, [-0.2, -0.05]), /worse, since/],
    ["unclear", comparison(0.8, 0.82, [-0.02, 0.06]), /no clear difference/],
    ["rounding alone", comparison(0.8, 0.800_004, [0.000_002, 0.000_006]), /no clear difference/],
    ["no interval", comparison(0.8, 0.9, null), /cannot be told/],
  ])("is no gain where it is %s and no curve says more", (_, found, why) => {
    const { decision, reasons } = decide({ ...facts, comparison: found });
    expect(decision).toBe("no_gain");
    expect(reasons[0]).toMatch(why);
    expect(reasons.at(-1)).toMatch(/not known: how it does with fewer was not measured/);
  });

  it("never trusts fewer than twenty rows, whatever the interval", () => {
    const one = decide({ ...facts, comparison: comparison(0, 1, [1, 1]), heldOutRows: 1 });
    expect([one.decision, one.more_labels]).toEqual(["more_labels", null]);
    expect(one.reasons[1]).toBe("1 held-out row is too few to tell; 20 are the least.");
    expect(one.reasons.at(-1)).toMatch(
      /^Hold out 19 more, by more examples or a larger validation/,
    );
    const none = decide({ ...facts, comparison: comparison(0, 1, [-1, 1]), heldOutRows: 1 });
    expect(none.decision).toBe("no_gain");
  });

  it("is about so many more labels where the target is missed and the curve reaches it", () => {
    const target = 1 - (2 * 1_600 ** -0.6 + 0.08);
    const { decision, more_labels: more } = decide({ ...facts, target, sizes });
    expect([decision, more]).toEqual(["more_labels", 800]);
  });

  it("says that the number is not known where the curve never reaches the target", () => {
    const { decision, more_labels: more, reasons } = decide({ ...facts, target: 0.99, sizes });
    expect([decision, more]).toEqual(["more_labels", null]);
    expect(reasons).toContain("It is not at least 0.99, which was asked for.");
    expect(reasons.at(-1)).toMatch(/not known.*at any number/);
  });

  it("asks for labels where the gain is there but could be chance", () => {
    const unclear = comparison(0.86, 0.885, [-0.005, 0.055]);
    const { decision, more_labels: more } = decide({ ...facts, comparison: unclear, sizes });
    expect(decision).toBe("more_labels");
    // The gain that would have shown is 0.03: 0.89, at 2 · n^-0.6 = 0.03.
    const exact = (2 / 0.03) ** (1 / 0.6) - 800;
    expect(Math.abs((more ?? 0) / exact - 1)).toBeLessThan(0.1);
  });

  it("is no gain where the metric is not defined", () => {
    const found = { ...gained, tuned: null };
    expect(decide({ ...facts, comparison: found })).toEqual({
      decision: "no_gain",
      more_labels: null,
      reasons: ["Macro F1 is not defined on the held-out rows."],
    });
  });

  it("tells McNemar's test in words", () => {
    const [, chance] = decide({ ...facts, mcnemar: mcnemar(3, 5) }).reasons;
    expect(chance).toMatch(
      /right on 5 rows, the base alone on 3 .*p = 0\.7266, which chance may do/,
    );
    const [, sure] = decide({ ...facts, mcnemar: mcnemar(5, 900) }).reasons;
    expect(sure).toMatch(/p below 0\.0001\)\.$/);
  });
});
