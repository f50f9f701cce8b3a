import { describe, expect, it } from "vitest";
import {
  cosine,
  dot,
  euclidean,
  manhattan,
  sum,
  toUnitLength,
} from "../../gpu-worker/tensor/vectors.ts";

const [a, b] = [Float32Array.of(3, 4), Float32Array.of(4, -3)];
const zero = new Float32Array(2);

describe("vectors", () => {
  it("are multiplied and measured, whatever array holds them", () => {
    expect(sum(a)).toBe(7);
    expect(dot(a, [1, 2])).toBe(11);
    expect(euclidean(a, b)).toBeCloseTo(Math.sqrt(50), 12);
    expect(manhattan(a, Float64Array.of(0, 0))).toBe(7);
  });

  it("have a cosine of −1 to 1, and of 0 where one has no direction", () => {
    expect(cosine(a, b)).toBe(0);
    expect(cosine(a, a)).toBe(1);
    expect(cosine(a, [-6, -8])).toBe(-1);
    expect(cosine(a, zero)).toBe(0);
    const tenths = new Float32Array(100).fill(0.1);
    expect(cosine(tenths, tenths)).toBeLessThanOrEqual(1);
  });

  it("get the length 1, but for a vector of zeros", () => {
    expect([...toUnitLength(a)]).toEqual([...Float32Array.of(0.6, 0.8)]);
    expect([...toUnitLength(zero)]).toEqual([0, 0]);
  });
});
