/** Correlations are scipy's, errors scikit-learn's, answers' scores those of SQuAD's script. */
import { describe, expect, it } from "vitest";
import { scoreAnswer } from "../../gpu-worker/evaluation/answer-scores.ts";
import {
  meanAbsoluteError,
  meanSquaredError,
  pearson,
  perplexity,
  spearman,
} from "../../gpu-worker/evaluation/number-metrics.ts";
import { eachOnce } from "../../gpu-worker/evaluation/row-counts.ts";
import { answers, references } from "./references.ts";

describe("numbers", () => {
  it.each(references.numbers)("are scipy's and scikit-learn's: $name", (each) => {
    const { gold, predicted } = each;
    const once = eachOnce(gold.length);
    // A distance of 1e8 leaves a correlation 8 of 16 digits.
    expect(pearson(gold, predicted)(once)).toBeCloseTo(each.pearson, 7);
    expect(spearman(gold, predicted)(once)).toBeCloseTo(each.spearman, 12);
    expect(meanSquaredError(gold, predicted)(once) / each.mse).toBeCloseTo(1, 12);
    expect(meanAbsoluteError(gold, predicted)(once) / each.mae).toBeCloseTo(1, 12);
  });

  it("weigh a row as if it stood there so often", () => {
    const gold = [3, 1, 4, 1, 5];
    const predicted = [2, 7, 1, 8, 2];
    const weights = Uint32Array.of(2, 0, 1, 3, 1);
    const repeat = (values: number[]) =>
      values.flatMap((value, at) => Array.from({ length: weights[at] ?? 0 }, () => value));
    for (const metric of [pearson, spearman, meanSquaredError, meanAbsoluteError]) {
      const repeated = metric(repeat(gold), repeat(predicted))(eachOnce(7));
      expect(metric(gold, predicted)(weights)).toBeCloseTo(repeated, 12);
    }
  });

  it("have no correlation with a constant, nor of one row", () => {
    expect(pearson([1, 2], [3, 3])(eachOnce(2))).toBeNaN();
    expect(spearman([1], [2])(eachOnce(1))).toBeNaN();
    // The mean of three 0.1 is not 0.1.
    expect(pearson([0.1, 0.1, 0.1], [1, 2, 3])(eachOnce(3))).toBeNaN();
    expect(pearson([0.1, 0.1, 0.1, 5], [1, 2, 3, 4])(Uint32Array.of(1, 2, 1, 0))).toBeNaN();
  });

  it("make the perplexity of all tokens, not of texts", () => {
    const metric = perplexity([-4 * Math.log(2), -Math.log(32)], [4, 1]);
    expect(metric(eachOnce(2))).toBeCloseTo(2 ** (9 / 5), 12);
    expect(metric(Uint32Array.of(0, 1))).toBeCloseTo(32, 12);
  });

  it("are refused by name where one is not finite", () => {
    expect(() => spearman([1, 2], [1, Number.NaN])).toThrow("predicted[1] is NaN");
    expect(() => meanSquaredError([Infinity], [1])).toThrow("gold[0] is Infinity");
    expect(() => perplexity([-Infinity], [1])).toThrow("logLikelihoods[0] is -Infinity");
    expect(() => pearson([1], [])).toThrow(RangeError);
  });
});

describe("answers", () => {
  it.each(answers)("score as SQuAD's script has it: $gold, $predicted", (each) => {
    const { exactMatch, f1 } = scoreAnswer(each.gold, each.predicted);
    expect(exactMatch).toBe(each.exact);
    expect(f1).toBeCloseTo(each.f1, 12);
  });
});
