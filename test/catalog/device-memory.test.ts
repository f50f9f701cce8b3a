/** A GPU's memory in shares: sums and bounds, by arithmetic. */
import { describe, expect, it } from "vitest";
import { batchTokensMax, deviceMemory } from "../../gpu-worker/catalog/device-memory.ts";

const GiB = 2 ** 30;
const MiniLm = { dimensions: 384, maxTokens: 512 };

describe("a GPU's memory", () => {
  it("is what the operator says, or most of it", () => {
    expect(deviceMemory(24 * GiB, 2 * GiB).budget).toBe(2 * GiB);
    expect(deviceMemory(24 * GiB, null).budget).toBeCloseTo(0.85 * 24 * GiB);
    expect(deviceMemory(0, null).budget).toBeGreaterThan(GiB);
  });

  it.each([4, 8, 24, 80, 141])(
    "holds several sessions with what they compute, of %i GiB",
    (size) => {
      const { budget, runBytes } = deviceMemory(size * GiB, null);
      expect(8 * runBytes).toBeLessThanOrEqual(budget);
      expect(runBytes).toBeGreaterThanOrEqual(256 * 2 ** 20);
    },
  );

  it("has room for batches that follow from it and from the model's size", () => {
    const [small, large] = [deviceMemory(8 * GiB, null), deviceMemory(80 * GiB, null)];
    expect(batchTokensMax(small, MiniLm)).toBeGreaterThan(8_192);
    expect(batchTokensMax(large, MiniLm)).toBeGreaterThan(2 * batchTokensMax(small, MiniLm));
    const wide = { dimensions: 1_024, maxTokens: 512 };
    expect(batchTokensMax(small, wide)).toBeLessThan(batchTokensMax(small, MiniLm));
    const long = { dimensions: 384, maxTokens: 8_192 };
    expect(batchTokensMax(small, long)).toBeLessThan(batchTokensMax(small, MiniLm));
    // What a batch holds at once, counted by hand for rows of 512 tokens: states, then scores of 6 heads.
    const tokens = batchTokensMax(small, MiniLm);
    expect(tokens * (384 * 16 * 4 + 6 * 512 * 12)).toBeLessThanOrEqual(small.runBytes);
  });

  it("always has room for one row", () => {
    const tight = deviceMemory(0, 64 * 2 ** 20);
    expect(batchTokensMax(tight, { dimensions: null, maxTokens: 8_192 })).toBe(8_192);
  });
});
