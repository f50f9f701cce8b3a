/**
 * Which trainings a search tries, for how long, and which of them goes on: successive halving (Jamieson and Talwalkar,
 * https://arxiv.org/abs/1502.07943) with a third kept each time. Pure, and by the seed alone: what is next follows from
 * the results so far, so that a search goes on after a kill.
 */
import * as z from "zod";
import { randomFrom } from "#contract/random.ts";
import { shuffled } from "./batches.ts";
import { TrainingPlan } from "./training-plan.ts";

/** What is searched. */
export const TrialOptions = TrainingPlan.pick({
  strategy: true,
  layers: true,
  epochs: true,
  batch: true,
  learningRate: true,
});
export type TrialOptions = z.infer<typeof TrialOptions>;

export type SearchSpace = {
  readonly strategies: readonly TrialOptions["strategy"][];
  readonly epochs: readonly number[];
  readonly batches: readonly number[];
  readonly learningRates: readonly number[];
};

function wholeAround(value: number, factors: readonly number[]): number[] {
  return [...new Set(factors.map((by) => Math.max(1, Math.round(value * by))))];
}

/** What is tried of a number, as parts of the usual one. */
function factorsAround(given: number | null): number[] {
  return given === null ? [0.5, 1, 2] : [1];
}

function rounded(rate: number): number {
  return Number(rate.toPrecision(3));
}

/** What is tried around the options that would be taken without a search: what was asked for stays as it is. */
export function spaceAround(
  { strategy, epochs, batch, learningRate }: TrialOptions,
  asked: {
    readonly strategy: "auto" | TrialOptions["strategy"];
    /** What is tried under `auto`. */
    readonly strategies: readonly TrialOptions["strategy"][];
    readonly epochs: number | null;
    readonly learningRate: number | null;
    readonly batch: number | null;
  },
): SearchSpace {
  return {
    strategies: asked.strategy === "auto" ? asked.strategies : [strategy],
    epochs: wholeAround(epochs, factorsAround(asked.epochs)),
    batches: wholeAround(batch, factorsAround(asked.batch)),
    learningRates:
      asked.learningRate === null
        ? [learningRate, ...[0.25, 0.5, 1.5, 2, 3].map((by) => rounded(learningRate * by))]
        : [learningRate],
  };
}

/**
 * So many, or as many as there are: `first`, then others by chance, each once.
 * @param isPossible whether there is memory for one
 */
export function candidatesOf(
  first: TrialOptions,
  space: SearchSpace,
  options: {
    readonly trials: number;
    readonly seed: number;
    readonly isPossible: (candidate: TrialOptions) => boolean;
  },
): TrialOptions[] {
  const { strategies, epochs, batches, learningRates } = space;
  const all = strategies.flatMap((strategy) =>
    epochs.flatMap((passes) =>
      batches.flatMap((batch) =>
        learningRates.map((learningRate) => {
          return { strategy, layers: first.layers, epochs: passes, batch, learningRate };
        }),
      ),
    ),
  );
  const others = shuffled(all, randomFrom(options.seed)).filter(
    (each) => !isSame(each, first) && options.isPossible(each),
  );
  return [first, ...others.slice(0, Math.max(0, options.trials - 1))];
}

function isSame(a: TrialOptions, b: TrialOptions): boolean {
  return (
    a.strategy === b.strategy &&
    a.epochs === b.epochs &&
    a.batch === b.batch &&
    a.learningRate === b.learningRate
  );
}

export type Round = {
  readonly trials: number;
  /** Of the steps that a candidate's whole training has. */
  readonly share: number;
};

/** Of a round's trials one in so many is kept, and trained for as many times longer. */
const kept = 3;

/** Each round takes about as long as one whole training or less; the best of the last is then trained wholly. */
export function roundsOf(trials: number): Round[] {
  const rounds: number[] = [];
  for (let left = trials; left > 1; left = Math.ceil(left / kept)) rounds.push(left);
  return rounds.map((left, at) => ({ trials: left, share: kept ** (at - rounds.length) }));
}

export const TrialResult = z.object({
  /** Index of the candidate, and of the round. */
  candidate: z.int().nonnegative(),
  round: z.int().nonnegative(),
  /** The higher the better. */
  score: z.number(),
  loss: z.number(),
  seconds: z.number().nonnegative(),
});
export type TrialResult = z.infer<typeof TrialResult>;

/** The best first; of equals the one with the lower loss, then the earlier candidate. */
function ranked(results: readonly TrialResult[]): TrialResult[] {
  return results.toSorted(
    (a, b) => b.score - a.score || a.loss - b.loss || a.candidate - b.candidate,
  );
}

export type Next =
  | { readonly kind: "trial"; readonly round: number; readonly candidate: number }
  /** The search is over. */
  | { readonly kind: "best"; readonly candidate: number };

/** @param candidates how many there are */
export function nextTrial(candidates: number, results: readonly TrialResult[]): Next {
  let members = Array.from({ length: candidates }, (_, at) => at);
  const rounds = roundsOf(candidates);
  for (const round of rounds.keys()) {
    const own = results.filter((each) => each.round === round);
    const done = new Set(own.map(({ candidate }) => candidate));
    const pending = members.find((candidate) => !done.has(candidate));
    if (pending !== undefined) return { kind: "trial", round, candidate: pending };
    const survivors = ranked(own).slice(0, rounds[round + 1]?.trials ?? 1);
    members = survivors.map(({ candidate }) => candidate).toSorted((a, b) => a - b);
  }
  return { kind: "best", candidate: members[0] ?? 0 };
}

/** Where the search ends early: the best of the last round there are results of. @param results at least one */
export function bestSoFar(results: readonly TrialResult[]): number {
  const last = Math.max(...results.map(({ round }) => round));
  const [best] = ranked(results.filter(({ round }) => round === last));
  if (best === undefined) throw new TypeError("nothing was tried");
  return best.candidate;
}

/** Trials that are still to be run, those of later rounds included. */
export function trialsLeft(candidates: number, results: readonly TrialResult[]): number {
  const all = roundsOf(candidates).reduce((sum, { trials }) => sum + trials, 0);
  return all - results.length;
}
