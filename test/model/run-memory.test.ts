/** What a run is reckoned to take, and that no batch of several is planned beyond what one may. */
import { describe, expect, it } from "vitest";
import { randomFrom } from "../../contract/random.ts";
import { planBatch } from "../../gpu-worker/batching/batch-policy.ts";
import { bytesOfRun, longestText, type RunMemory } from "../../gpu-worker/model/run-memory.ts";

/** Of a base model: 12 heads, 30 000 words. */
const memory: RunMemory = {
  perToken: 40_000,
  perPair: 144,
  pairsMax: Infinity,
  perAsked: 240_000,
  max: 60e6,
};
const policy = { tokensMax: 4_096, entriesMax: 64, windowEntries: 128, overheadTokens: 32 };

describe("planBatch", () => {
  it("never plans several texts that take more memory than a run may", () => {
    const random = randomFrom(11);
    let bounded = 0;
    for (let round = 0; round < 200; round += 1) {
      const lengths = Array.from({ length: 100 }, () => 1 + Math.floor(random() ** 3 * 700));
      const asked = lengths.map(() => Math.floor(random() * 20));
      const shapeOf = (plan: readonly number[]) => ({
        longest: Math.max(...plan.map((index) => lengths[index] ?? 0)),
        texts: plan.length,
        asked: plan.reduce((sum, index) => sum + (asked[index] ?? 0), 0),
      });
      const plan = planBatch(lengths, { ...policy, memory }, asked);
      expect(plan).toContain(0);
      if (plan.length > 1) {
        expect(bytesOfRun(memory, shapeOf(plan))).toBeLessThanOrEqual(memory.max);
      }
      if (bytesOfRun(memory, shapeOf(planBatch(lengths, policy))) > memory.max) bounded += 1;
    }
    // Without the bound, many would be beyond it.
    expect(bounded).toBeGreaterThan(20);
  });
});

describe("longestText", () => {
  it.each([
    ["all pairs at once", memory],
    ["pairs in turns", { ...memory, pairsMax: 10e6 }],
    ["room for nothing", { ...memory, max: 0 }],
  ])("is the last that fits, with %s", (_, given) => {
    const longest = longestText(given);
    const bytesOf = (length: number) => bytesOfRun(given, { longest: length, texts: 1, asked: 0 });
    expect(bytesOf(longest)).toBeLessThanOrEqual(given.max);
    expect(bytesOf(longest + 1)).toBeGreaterThan(given.max);
  });

  it("grows with the square root of memory where attention takes all pairs at once, else in proportion", () => {
    const plenty = { ...memory, max: 6e9 };
    expect(longestText(plenty) / longestText(memory)).toBeLessThan(13);
    const inTurns = { ...plenty, pairsMax: 10e6 };
    expect(longestText(inTurns) / longestText({ ...inTurns, max: 60e6 })).toBeGreaterThan(90);
  });
});
