/**
 * Budgets of batches from what runs of a model take on this machine: a run of n tokens takes a + b·n seconds, so that
 * its fixed cost is that of a/b tokens. Pure. Larger batches gain little once that is a small part of the whole, and
 * make every request wait longer.
 */

import type { RunCost } from "../model/run-cost.ts";

export type FittedPolicy = {
  /** The fixed cost of a run, expressed in tokens of work. */
  overheadTokens: number;
  tokensMin: number;
  tokensMax: number;
};

type Range = readonly [least: number, most: number];

export type FitBounds = {
  overheadTokens: Range;
  tokensMin: Range;
  tokensMax: Range;
  /** Longest run of a full batch, within the range of `tokensMax`. Absent: any. */
  batchSecondsMax?: number;
};

/** Share of a full batch's time that is its fixed cost. */
const overheadShare = 0.05;
/** The same, of a batch made smaller so that another can start. */
const overheadShareSmall = 0.2;

/**
 * Bounds of what is fitted, since a few runs on a busy machine may measure anything. Below 256 tokens products are too
 * small to be fast; past 2 048 a batch makes others wait longer and gains nothing.
 */
const cpuBounds: FitBounds = {
  overheadTokens: [16, 256],
  tokensMin: [64, 512],
  tokensMax: [256, 2_048],
};
/**
 * A GPU's: below some thousand tokens its time goes into starting kernels; from 65 536 on it gains nothing, and results
 * grow. A batch takes at most 50 ms, which bounds how long others wait.
 */
export const deviceBounds: FitBounds = {
  overheadTokens: [16, 16_384],
  tokensMin: [512, 8_192],
  tokensMax: [2_048, 65_536],
  batchSecondsMax: 0.05,
};
/** Budgets are multiples of this, so that two starts on one machine mostly get the same ones. */
const step = 32;

/** @returns null where the costs do not say: fewer than two sizes, or no cost per token */
export function fitPolicy(
  costs: readonly RunCost[],
  bounds: FitBounds = cpuBounds,
): FittedPolicy | null {
  const line = fitLine(costs);
  if (line === null || !(line.perToken > 0)) return null;
  const overhead = clamp(line.fixed / line.perToken, bounds.overheadTokens);
  const inTime = Math.floor((bounds.batchSecondsMax ?? Infinity) / line.perToken);
  const budget = (share: number) => Math.ceil((overhead * (1 - share)) / share / step) * step;
  return {
    overheadTokens: Math.round(overhead),
    tokensMin: clamp(budget(overheadShareSmall), bounds.tokensMin),
    tokensMax: clamp(Math.min(budget(overheadShare), inTime), bounds.tokensMax),
  };
}

/** Least squares of the relative error, so that small runs, which show the fixed cost, count as much as large ones. */
function fitLine(costs: readonly RunCost[]): { fixed: number; perToken: number } | null {
  const usable = costs.filter(({ tokens, seconds }) => tokens > 0 && seconds > 0);
  const weighed = usable.map(({ tokens, seconds }) => ({ tokens, seconds, weight: seconds ** -2 }));
  const sumOf = (value: (cost: RunCost) => number) =>
    weighed.reduce((sum, cost) => sum + cost.weight * value(cost), 0);
  const weight = sumOf(() => 1);
  const meanTokens = sumOf(({ tokens }) => tokens) / weight;
  const meanSeconds = sumOf(({ seconds }) => seconds) / weight;
  const spread = sumOf(({ tokens }) => (tokens - meanTokens) ** 2);
  if (!(spread > 0)) return null;
  const perToken =
    sumOf(({ tokens, seconds }) => (tokens - meanTokens) * (seconds - meanSeconds)) / spread;
  return { fixed: meanSeconds - perToken * meanTokens, perToken };
}

function clamp(value: number, [low, high]: readonly [number, number]): number {
  return Math.min(high, Math.max(low, value));
}
