/**
 * Which of the waiting sequences run together next: pure, knows no task and no clock.
 *
 * The first `windowEntries` in service order form the window. Within it, sorted by length, the batch is the run of
 * neighbours around the first in service order that computes the most useful tokens per unit of work, padding and the
 * fixed cost of a run included, under the token budget (longest × count) and the bound of memory. Because the first in
 * service order is in every batch, a sequence waits for at most as many batches as there are sequences before it.
 */

import { bytesOfRun, type RunMemory, type RunShape } from "../model/run-memory.ts";

export type BatchPolicy = {
  /** Longest × count of one batch. A single longer sequence runs alone. */
  tokensMax: number;
  entriesMax: number;
  windowEntries: number;
  /** The fixed cost of a run, expressed in tokens of work. */
  overheadTokens: number;
  /**
   * Absent: not bounded. A single sequence beyond the bound would run alone: it must be refused before it is queued.
   */
  memory?: RunMemory;
};

/**
 * @param lengths in service order, at least one
 * @param asked how many of its positions each sequence asks for
 * @returns indexes into `lengths`, the first among them, ordered by length
 */
export function planBatch(
  lengths: readonly number[],
  policy: BatchPolicy,
  asked: readonly number[] = [],
): number[] {
  const window = lengths
    .slice(0, policy.windowEntries)
    .map((length, index) => ({ length, index, asked: asked[index] ?? 0 }))
    .sort((a, b) => a.length - b.length || a.index - b.index);
  const anchor = window.findIndex((entry) => entry.index === 0);
  const best = bestRun(window, anchor, policy);
  return window.slice(best.from, best.to + 1).map((entry) => entry.index);
}

type Sequence = { length: number; asked: number };

/** @param sorted by length, ascending. @returns the inclusive run around `anchor` with the best yield */
function bestRun(sorted: readonly Sequence[], anchor: number, policy: BatchPolicy) {
  let best = { from: anchor, to: anchor, rate: -1 };
  for (let to = anchor; to < sorted.length; to += 1) {
    const candidate = bestStart(sorted, { anchor, to }, policy);
    if (candidate === null) break;
    if (candidate.rate > best.rate) best = { ...candidate, to };
  }
  return best;
}

/** The best first element of a run that ends at `to`; null where even anchor…to is over the budget. */
function bestStart(
  sorted: readonly Sequence[],
  run: { anchor: number; to: number },
  policy: BatchPolicy,
): { from: number; rate: number } | null {
  const longest = sorted[run.to]?.length ?? 0;
  let [useful, asked] = [0, 0];
  let best: { from: number; rate: number } | null = null;
  for (let from = run.to; from >= 0; from -= 1) {
    const count = run.to - from + 1;
    const padded = longest * count;
    useful += sorted[from]?.length ?? 0;
    asked += sorted[from]?.asked ?? 0;
    if (count > 1 && (padded > policy.tokensMax || count > policy.entriesMax)) break;
    if (count > 1 && !fitsMemory(policy, { longest, texts: count, asked })) break;
    const rate = useful / (policy.overheadTokens + padded);
    if (from <= run.anchor && (best === null || rate > best.rate)) best = { from, rate };
  }
  return best;
}

function fitsMemory({ memory }: BatchPolicy, shape: RunShape): boolean {
  return memory === undefined || bytesOfRun(memory, shape) <= memory.max;
}
