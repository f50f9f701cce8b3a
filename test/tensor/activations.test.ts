import { describe, expect, it } from "vitest";
import { sigmoid, softmax, softmaxTerms } from "../../gpu-worker/tensor/activations.ts";

describe("softmax", () => {
  it("gives the published example, and probabilities that are 1 in all", () => {
    // "Softmax function", Wikipedia: the values of its Python example.
    const expected = [0.0236405, 0.0642617, 0.174681, 0.474833, 0.0236405, 0.0642617, 0.174681];
    const probabilities = softmax([1, 2, 3, 4, 1, 2, 3]);
    for (const [at, value] of probabilities.entries()) {
      expect(value).toBeCloseTo(expected[at] ?? NaN, 6);
    }
    expect(probabilities.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 12);
  });

  it("is the same wherever the logits lie, and gives 0 for −∞", () => {
    expect(softmax([1_000, 1_000])).toEqual([0.5, 0.5]);
    expect(softmax(Float32Array.of(-1_000, -1_000, -Infinity))).toEqual([0.5, 0.5, 0]);
    expect(softmaxTerms([5, 5, -Infinity])).toEqual({ max: 5, sum: 2 });
  });

  it("gives no number where a logit is none", () => {
    expect(softmax([1, NaN])).toEqual([NaN, NaN]);
  });
});

describe("sigmoid", () => {
  it("is the softmax of a logit beside 0", () => {
    for (const logit of [-40, -1.5, 0, 0.25, 30]) {
      expect(sigmoid(logit)).toBeCloseTo(softmax([logit, 0])[0] ?? NaN, 12);
    }
  });
});
