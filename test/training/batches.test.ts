/** Batches by a seed: each example once, texts of like lengths together, another order in each epoch. */
import { expect, it } from "vitest";
import { batchesOf, evaluationBatches } from "../../gpu-worker/training/batches.ts";
import { randomFrom } from "../random-from.ts";

const below = randomFrom(3);
const lengths = Array.from({ length: 1_003 }, () => 1 + below(200));
const options = { size: 16, seed: 1, epoch: 0 };
const ascending = (batches: number[][]) => batches.flat().toSorted((a, b) => a - b);

/** Part of all places that is padding. */
function padding(batches: readonly number[][]): number {
  const longest = (batch: number[]) => Math.max(...batch.map((at) => lengths[at] ?? 0));
  const places = batches.reduce((sum, batch) => sum + batch.length * longest(batch), 0);
  return 1 - lengths.reduce((sum, length) => sum + length, 0) / places;
}

it("has each example once", () => {
  expect(ascending(batchesOf(lengths, options))).toEqual([...lengths.keys()]);
  expect(ascending(evaluationBatches(lengths, 16))).toEqual([...lengths.keys()]);
  expect(batchesOf(lengths, options)).toHaveLength(63);
  expect(batchesOf([4], options)).toEqual([[0]]);
});

it("is the same from the same seed and epoch, and otherwise from others", () => {
  const first = batchesOf(lengths, options);
  expect(batchesOf(lengths, options)).toEqual(first);
  expect(batchesOf(lengths, { ...options, epoch: 1 })).not.toEqual(first);
  expect(batchesOf(lengths, { ...options, seed: 2 })).not.toEqual(first);
});

it("leaves little padding, without going from long to short", () => {
  const batches = batchesOf(lengths, options);
  expect(padding(batches)).toBeLessThan(0.1);
  const first = batches.map(([at = 0]) => lengths[at] ?? 0);
  const falls = first.filter((length, at) => length > (first[at + 1] ?? 0)).length;
  expect(falls).toBeGreaterThan(first.length / 4);
  expect(falls).toBeLessThan((first.length * 3) / 4);
});
