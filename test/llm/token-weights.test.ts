import { describe, expect, it } from "vitest";
import { randomFrom } from "../../contract/random.ts";
import { BlockMaxima } from "../../gpu-worker/llm/block-maxima.ts";
import { TokenWeights } from "../../gpu-worker/llm/token-weights.ts";

const random = randomFrom(6);
const scoresOf = (length: number, spread: number) =>
  Float32Array.from({ length }, () => Math.log(random() / random()) * spread);

/** Lengths around whole blocks, and spreads from flat to where most weights are 0. */
const rows = [1, 63, 64, 65, 1_000].flatMap((length) =>
  [0, 0.1, 3, 40].map((spread) => scoresOf(length, spread)),
);

describe("TokenWeights", () => {
  it("are those of Math.exp, down to the least that counts", () => {
    for (const scores of rows) {
      const highest = Math.max(...scores);
      for (const temperature of [0.3, 1, 2.5]) {
        const weights = new TokenWeights(scores.length);
        weights.weighAll({ scores, allowed: null }, { highest, temperature });
        const exact = Array.from(scores, (score) => Math.exp((score - highest) / temperature));
        for (const [token, weight] of weights) {
          const own = exact[token] ?? NaN;
          expect(Math.abs(weight - own)).toBeLessThanOrEqual(1e-12 * own + 2 ** -63);
        }
        expect(weights.total).toBeCloseTo(
          exact.reduce((sum, weight) => sum + weight, 0),
          9,
        );
      }
    }
  });

  it("have no weight where a score is -Infinity", () => {
    const weights = new TokenWeights(3);
    weights.weighAll(
      { scores: Float32Array.of(1, -Infinity, 1), allowed: null },
      { highest: 1, temperature: 1 },
    );
    expect([...weights]).toEqual([
      [0, 1],
      [1, 0],
      [2, 1],
    ]);
  });

  it("find the bound of a sum as sorting does, and the token at each place", () => {
    for (const scores of rows) {
      const weights = new TokenWeights(scores.length);
      weights.weighAll({ scores, allowed: null }, { highest: Math.max(...scores), temperature: 1 });
      const line = [...weights];
      const sorted = line.map(([, weight]) => weight).toSorted((a, b) => b - a);
      for (const share of [0.01, 0.5, 0.9, 0.999]) {
        const enough = share * weights.total;
        let [sum, at] = [0, -1];
        while (sum < enough) sum += sorted[(at += 1)] ?? 0;
        expect(weights.boundOfSum(enough)).toBe(sorted[at]);
        let passed = 0;
        const token = line.find(([, weight]) => (passed += weight) > enough)?.[0];
        expect(weights.tokenAt(enough)).toBe(token);
      }
      expect(weights.tokenAt(weights.total * 1.001)).toBeNull();
    }
  });

  it("of some blocks are those of all without the others", () => {
    const scores = scoresOf(300, 2);
    const scale = { highest: Math.max(...scores), temperature: 1 };
    const [all, some] = [new TokenWeights(300), new TokenWeights(300)];
    all.weighAll({ scores, allowed: null }, scale);
    all.keepBlocks([1, 4]);
    some.weighBlocks({ scores, allowed: null }, scale, [1, 4]);
    expect([...some]).toEqual([...all]);
    expect([some.count, some.total]).toEqual([64 + 44, expect.closeTo(all.total, 12)]);
    const bound = [...all].map(([, weight]) => weight).toSorted((a, b) => b - a)[9] ?? NaN;
    all.keepFrom(bound);
    expect(all.count).toBe(10);
  });
});

describe("BlockMaxima", () => {
  it("know the highest score, the first token that has it, and the highest few", () => {
    for (const scores of rows.map((row) => row.map((score) => Math.round(score)))) {
      const maxima = new BlockMaxima(scores.length);
      maxima.read(scores);
      const order = [...scores.keys()].toSorted(
        (a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b,
      );
      expect([maxima.highest, maxima.best()]).toEqual([Math.max(...scores), order[0]]);
      for (const count of [0, 1, 20]) expect(maxima.largest(count)).toEqual(order.slice(0, count));
    }
  });

  it("are NaN where a score is", () => {
    const maxima = new BlockMaxima(200);
    for (const at of [0, 70, 199]) {
      const scores = new Float32Array(200);
      scores[at] = NaN;
      maxima.read(scores);
      expect(maxima.highest).toBeNaN();
    }
  });
});
