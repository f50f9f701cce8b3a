/**
 * The paired bootstrap (Efron and Tibshirani 1993, 13.3; for language processing Koehn 2004): rows are drawn again with
 * repetition, the same for both systems, and the difference of their figures is taken each time. Of any metric.
 */
import type { BootstrapInterval } from "#contract/training/evaluation-report.ts";
import { randomFrom } from "#contract/random.ts";
import { quantile } from "./quantile.ts";
import type { RowMetric } from "./row-counts.ts";

export type BootstrapOptions = {
  draws: number;
  seed: number;
  /** 0.95: the middle 95 % of the draws. */
  level: number;
};

const drawsMost = 1_000;
/** An interval's ends are still known to about a tenth of its width. */
const drawsLeast = 100;
/** One metric of both systems takes a second or a few for so many. */
const rowsDrawnMax = 20_000_000;

/** Fewer draws of very many rows, so that no report takes minutes; the interval says how many there were. */
export function defaultBootstrap(rows: number): BootstrapOptions {
  const draws = Math.floor(rowsDrawnMax / Math.max(1, rows));
  return { draws: Math.min(drawsMost, Math.max(drawsLeast, draws)), seed: 0, level: 0.95 };
}

/** Null without rows, and where the difference is not defined in a draw, as of a correlation with a constant. */
export function pairedBootstrap(
  metrics: { base: RowMetric; tuned: RowMetric },
  rows: number,
  options: BootstrapOptions = defaultBootstrap(rows),
): BootstrapInterval | null {
  const { draws, seed, level } = options;
  if (rows === 0) return null;
  const random = randomFrom(seed);
  const weights = new Uint32Array(rows);
  const differences = new Float64Array(draws);
  for (let draw = 0; draw < draws; draw += 1) {
    weights.fill(0);
    for (let count = 0; count < rows; count += 1) {
      const row = Math.floor(random() * rows);
      weights[row] = (weights[row] ?? 0) + 1;
    }
    const difference = metrics.tuned(weights) - metrics.base(weights);
    if (!Number.isFinite(difference)) return null;
    differences[draw] = difference;
  }
  differences.sort();
  const tail = (1 - level) / 2;
  return {
    low: quantile(differences, tail),
    high: quantile(differences, 1 - tail),
    level,
    draws,
    seed,
  };
}
