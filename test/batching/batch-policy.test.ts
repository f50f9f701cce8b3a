/** What every plan must keep, on random windows; and the choice itself against trying every possible batch. */
import { describe, expect, it } from "vitest";
import { type BatchPolicy, planBatch } from "../../gpu-worker/batching/batch-policy.ts";
import { randomFrom } from "../../contract/random.ts";

const policy: BatchPolicy = {
  tokensMax: 256,
  entriesMax: 16,
  windowEntries: 32,
  overheadTokens: 16,
};

function randomLengths(random: () => number): number[] {
  const count = 1 + Math.floor(random() * 48);
  return Array.from({ length: count }, () => 1 + Math.floor(random() ** 3 * 300));
}

const paddedOf = (lengths: number[]) => Math.max(...lengths) * lengths.length;
const usefulOf = (lengths: number[]) => lengths.reduce((sum, length) => sum + length, 0);
const rateOf = (lengths: number[]) =>
  usefulOf(lengths) / (policy.overheadTokens + paddedOf(lengths));

/** Every run of neighbours by length that holds the oldest and is within the budget. */
function runsAroundOldest(window: number[]): number[][] {
  const sorted = window.toSorted((a, b) => a - b);
  const oldest = sorted.indexOf(window[0] ?? 0);
  const starts = Array.from({ length: oldest + 1 }, (_, from) => from);
  const ends = Array.from({ length: sorted.length - oldest }, (_, offset) => oldest + offset);
  return starts
    .flatMap((from) => ends.map((to) => sorted.slice(from, to + 1)))
    .filter(
      (run) =>
        run.length === 1 || (run.length <= policy.entriesMax && paddedOf(run) <= policy.tokensMax),
    );
}

const windows = (() => {
  const random = randomFrom(7);
  return Array.from({ length: 200 }, () => randomLengths(random));
})();

describe("planBatch", () => {
  it("always takes the oldest, once each, from the window, within the budget", () => {
    for (const lengths of windows) {
      const plan = planBatch(lengths, policy);
      const chosen = plan.map((index) => lengths[index] ?? NaN);
      expect(plan).toContain(0);
      expect(new Set(plan).size).toBe(plan.length);
      expect(Math.max(...plan)).toBeLessThan(policy.windowEntries);
      expect(plan.length).toBeLessThanOrEqual(policy.entriesMax);
      if (plan.length > 1) expect(paddedOf(chosen)).toBeLessThanOrEqual(policy.tokensMax);
      expect(chosen).toEqual(chosen.toSorted((a, b) => a - b));
    }
  });

  it("yields as much per unit of work as the best of all runs of neighbours around the oldest", () => {
    for (const lengths of windows) {
      const window = lengths.slice(0, policy.windowEntries);
      const best = Math.max(...runsAroundOldest(window).map(rateOf));
      const chosen = planBatch(lengths, policy).map((index) => lengths[index] ?? NaN);
      expect(rateOf(chosen)).toBeCloseTo(best, 10);
    }
  });

  it("runs a sequence over the budget alone", () => {
    expect(planBatch([1_000, 10, 10], policy)).toEqual([0]);
  });

  it("pads a mixed backlog little when it is drained batch by batch", () => {
    const random = randomFrom(11);
    const backlog = Array.from({ length: 512 }, () => 4 + Math.floor(random() ** 2 * 60));
    let useful = 0;
    let padded = 0;
    while (backlog.length > 0) {
      const plan = new Set(planBatch(backlog, policy));
      const chosen = backlog.filter((_, index) => plan.has(index));
      useful += usefulOf(chosen);
      padded += paddedOf(chosen);
      const left = backlog.filter((_, index) => !plan.has(index));
      backlog.splice(0, backlog.length, ...left);
    }
    expect(useful / padded).toBeGreaterThan(0.8);
  });
});
