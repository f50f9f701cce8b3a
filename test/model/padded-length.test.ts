/** Few lengths, little padding, never past the model's positions. */
import { describe, expect, it } from "vitest";
import { paddedLength } from "../../gpu-worker/model/run-rows.ts";

const lengths = Array.from({ length: 512 }, (_, index) => index + 1);

describe("paddedLength", () => {
  it("pads by an eighth at most, and short sequences not at all", () => {
    for (const length of lengths) {
      const padded = paddedLength(length, 512);
      expect(padded).toBeGreaterThanOrEqual(length);
      expect(padded).toBeLessThanOrEqual(length * 1.125);
      if (length <= 16) expect(padded).toBe(length);
    }
  });

  it("leaves some fifty lengths of 512", () => {
    const steps = new Set(lengths.map((length) => paddedLength(length, 512)));
    expect(steps.size).toBe(16 + 5 * 8);
    expect([...steps]).toEqual(expect.arrayContaining([18, 36, 72, 144, 288, 512]));
  });

  it("never pads past the longest input of the model", () => {
    expect(paddedLength(97, 100)).toBe(100);
    expect(paddedLength(100, 100)).toBe(100);
  });
});
