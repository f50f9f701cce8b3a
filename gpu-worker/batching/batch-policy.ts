/**
 * Which of the waiting sequences run together next: pure, knows no task and no clock.
 *
 * The first `windowEntries` in service order form the window. Within it, sorted by length, the batch is the run of
 * neighbours around the first in service order that computes the most useful tokens per unit of work, padding and the
 * fixed cost of a run included, under the token budget (longest × count). Because the first in service order is in
 * every batch, a sequence waits for at most as many batches as there are sequences before it.
 */

export type BatchPolicy = {
  /** Longest × count of one batch. A single longer sequence runs alone. */
  tokensMax: number;
  entriesMax: number;
  windowEntries: number;
  /** The fixed cost of a run, expressed in tokens of work. */
  overheadTokens: number;
};

/**
 * @param lengths in service order, at least one
 * @returns indexes into `lengths`, the first among them, ordered by length
 */
export function planBatch(lengths: readonly number[], policy: BatchPolicy): number[] {
  const window = lengths
    .slice(0, policy.windowEntries)
    .map((length, index) => ({ length, index }))
    .sort((a, b) => a.length - b.length || a.index - b.index);
  const anchor = window.findIndex((entry) => entry.index === 0);
  const best = bestRun(
    window.map((entry) => entry.length),
    anchor,
    policy,
  );
  return window.slice(best.from, best.to + 1).map((entry) => entry.index);
}

/** @param sorted lengths, ascending. @returns the inclusive run around `anchor` with the best yield */
function bestRun(sorted: readonly number[], anchor: number, policy: BatchPolicy) {
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
  sorted: readonly number[],
  run: { anchor: number; to: number },
  policy: BatchPolicy,
): { from: number; rate: number } | null {
  const longest = sorted[run.to] ?? 0;
  let useful = 0;
  let best: { from: number; rate: number } | null = null;
  for (let from = run.to; from >= 0; from -= 1) {
    const count = run.to - from + 1;
    const padded = longest * count;
    if (count > 1 && (padded > policy.tokensMax || count > policy.entriesMax)) break;
    useful += sorted[from] ?? 0;
    const rate = useful / (policy.overheadTokens + padded);
    if (from <= run.anchor && (best === null || rate > best.rate)) best = { from, rate };
  }
  return best;
}
