/** Which trials a search runs: by the seed and the results alone. */
import { describe, expect, it } from "vitest";
import {
  bestSoFar,
  candidatesOf,
  nextTrial,
  roundsOf,
  spaceAround,
  trialsLeft,
} from "../../gpu-worker/training/search-plan.ts";
import type { TrialResult } from "../../gpu-worker/training/search-plan.ts";
import { randomFrom } from "../random-from.ts";

const first = { strategy: "full", layers: 2, epochs: 4, batch: 32, learningRate: 2e-4 } as const;
const strategies = ["full", "top-k"] as const;
const nothing = { strategies, epochs: null, learningRate: null, batch: null } as const;
const auto = { strategy: "auto", ...nothing } as const;
const always = () => true;
const isPossible = ({ batch }: { batch: number }) => batch < 64;

describe("candidates", () => {
  it("begin with what would be trained anyway, are distinct, and the same from the same seed", () => {
    const space = spaceAround(first, auto);
    for (let seed = 0; seed < 50; seed++) {
      const options = { trials: 12, seed, isPossible: always };
      const candidates = candidatesOf(first, space, options);
      expect(candidates[0]).toBe(first);
      expect(candidates).toHaveLength(12);
      expect(new Set(candidates.map((each) => JSON.stringify(each))).size).toBe(12);
      expect(candidatesOf(first, space, options)).toEqual(candidates);
    }
    const of = (seed: number) =>
      candidatesOf(first, space, { trials: 12, seed, isPossible: always });
    expect(of(1)).not.toEqual(of(2));
  });

  it("are distinct, however long the number of the usual rate is", () => {
    const usual = { ...first, learningRate: 0.0096 * 0.2 };
    const options = { trials: 100, seed: 1, isPossible: always };
    const rates = candidatesOf(usual, spaceAround(usual, auto), options).map(
      ({ learningRate }) => learningRate,
    );
    expect(new Set(rates)).toEqual(
      new Set([0.0096 * 0.2, 0.00048, 0.00096, 0.00288, 0.00384, 0.00576]),
    );
  });

  it("keep what was asked for, and are no more than there are", () => {
    const asked = { ...nothing, strategy: "full", epochs: 4, learningRate: 2e-4 } as const;
    const options = { trials: 100, seed: 1, isPossible: always };
    const candidates = candidatesOf(first, spaceAround(first, asked), options);
    expect(candidates.map(({ batch }) => batch).toSorted((a, b) => a - b)).toEqual([16, 32, 64]);
    expect(candidates.every(({ strategy, epochs }) => strategy === "full" && epochs === 4)).toBe(
      true,
    );
  });

  it("differ in strategy, epochs, batch and rate where nothing was asked for", () => {
    const options = { trials: 1_000, seed: 1, isPossible: always };
    const candidates = candidatesOf(first, spaceAround(first, auto), options);
    expect(new Set(candidates.map(({ strategy }) => strategy))).toEqual(new Set(strategies));
    expect(new Set(candidates.map(({ epochs }) => epochs))).toEqual(new Set([2, 4, 8]));
    expect(new Set(candidates.map(({ batch }) => batch))).toEqual(new Set([16, 32, 64]));
    const rates = candidates.map(({ learningRate }) => learningRate);
    expect(Math.min(...rates)).toBeLessThan(first.learningRate);
    expect(Math.max(...rates)).toBeGreaterThan(first.learningRate);
  });

  it("are such that there is memory for", () => {
    const options = { trials: 60, seed: 1, isPossible };
    const candidates = candidatesOf(first, spaceAround(first, auto), options);
    expect(candidates).toHaveLength(60);
    expect(candidates.every(isPossible)).toBe(true);
  });
});

it("a round keeps a third, trains it three times longer, and takes one whole training or so", () => {
  expect(roundsOf(1)).toEqual([]);
  expect(roundsOf(9)).toEqual([
    { trials: 9, share: 1 / 9 },
    { trials: 3, share: 1 / 3 },
  ]);
  for (let trials = 2; trials < 200; trials++) {
    const rounds = roundsOf(trials);
    expect(rounds[0]?.trials).toBe(trials);
    expect(rounds.at(-1)?.share).toBeCloseTo(1 / 3, 12);
    for (const { trials: many, share } of rounds) expect(many * share).toBeLessThan(4 / 3 + 1e-9);
  }
});

/** Runs it to its end. @returns the results in order, and the winner */
function run(candidates: number, scoreOf: (candidate: number, round: number) => number) {
  const results: TrialResult[] = [];
  for (;;) {
    const next = nextTrial(candidates, results);
    if (next.kind === "best") return { results, best: next.candidate };
    const { candidate, round } = next;
    const loss = candidate % 3;
    results.push({ candidate, round, score: scoreOf(candidate, round), loss, seconds: 1 });
  }
}

describe("a search", () => {
  const below = randomFrom(5);
  const searches = Array.from({ length: 60 }, () => {
    const candidates = 1 + below(40);
    const scores = Array.from({ length: candidates }, () => below(8) / 8);
    return { candidates, scoreOf: (at: number, round: number) => (scores[at] ?? 0) + round / 100 };
  });

  it("runs each trial once, each round with the best of the one before", () => {
    for (const { candidates, scoreOf } of searches) {
      const { results, best } = run(candidates, scoreOf);
      const rounds = roundsOf(candidates);
      expect(trialsLeft(candidates, results)).toBe(0);
      const keys = results.map(({ candidate, round }) => `${candidate} ${round}`);
      expect(new Set(keys).size).toBe(keys.length);
      for (const [round, { trials }] of rounds.entries()) {
        const own = results.filter((each) => each.round === round);
        expect(own).toHaveLength(trials);
        const kept = new Set(
          round + 1 < rounds.length
            ? results.filter((each) => each.round === round + 1).map((each) => each.candidate)
            : [best],
        );
        const dropped = own.filter(({ candidate }) => !kept.has(candidate));
        const least = Math.min(
          ...own.filter(({ candidate }) => kept.has(candidate)).map(({ score }) => score),
        );
        expect(dropped.every(({ score }) => score <= least)).toBe(true);
      }
    }
  });

  it("takes the best of the last round that was begun, where its time is over before", () => {
    for (const { candidates, scoreOf } of searches) {
      const { results } = run(candidates, scoreOf);
      for (const at of results.keys()) {
        const known = results.slice(0, at + 1);
        const round = results[at]?.round;
        const last = known.filter((each) => each.round === round);
        const best = last.find(({ candidate }) => candidate === bestSoFar(known));
        for (const { score } of last) expect(best?.score).toBeGreaterThanOrEqual(score);
      }
    }
  });

  it("goes on after any of its results as if it had never stopped", () => {
    for (const { candidates, scoreOf } of searches) {
      const { results, best } = run(candidates, scoreOf);
      for (const at of results.keys()) {
        const { candidate, round } = results[at] ?? {};
        expect(nextTrial(candidates, results.slice(0, at))).toEqual({
          kind: "trial",
          candidate,
          round,
        });
      }
      expect(nextTrial(candidates, results.toReversed())).toEqual({
        kind: "best",
        candidate: best,
      });
    }
  });

  it("takes the lower loss of equal scores, then the earlier candidate", () => {
    expect(run(3, () => 0.5).best).toBe(0);
    expect(run(2, () => 0.5).best).toBe(0);
    const losses = [3, 1, 2];
    const results = losses.map((loss, candidate) => {
      return { candidate, round: 0, score: 0.5, loss, seconds: 1 };
    });
    expect(nextTrial(3, results)).toEqual({ kind: "best", candidate: 1 });
  });
});
