/** Counts of rows with one class each, and of rows with any number of classes. */
import { type RowCounts, RowCounter, sortedLabels } from "./row-counts.ts";
import { requireSameLength } from "./require.ts";

/**
 * One class each. `labels`: those reported, as scikit-learn's `labels`; absent, all that are expected or predicted,
 * sorted. Throws a RangeError where the lists differ in length.
 */
export function classCounts(
  gold: readonly string[],
  predicted: readonly string[],
  labels?: readonly string[],
): RowCounts {
  requireSameLength(gold, predicted);
  const present = sortedLabels([...gold, ...predicted]);
  const reported = labels === undefined ? present : [...new Set(labels)];
  const counter = new RowCounter(reported);
  for (const [row, meant] of gold.entries()) {
    addLabel(counter, meant, predicted[row] ?? "");
    counter.endRow();
  }
  const known = new Set(reported);
  return counter.finish(present.every((label) => known.has(label)));
}

/** Any number of classes each, of `labels`; a class that is named twice in a row counts once. */
export function labelSetCounts(
  gold: readonly (readonly string[])[],
  predicted: readonly (readonly string[])[],
  labels: readonly string[],
): RowCounts {
  requireSameLength(gold, predicted);
  const counter = new RowCounter(labels);
  for (const [row, list] of gold.entries()) {
    const meant = new Set(list);
    const said = new Set(predicted[row]);
    for (const label of meant) {
      if (said.has(label)) counter.hit(label);
      else counter.expected(label);
    }
    for (const label of said) if (!meant.has(label)) counter.predicted(label);
    counter.endRow();
  }
  return counter.finish(false);
}

/** One decision: what is meant against what is said. */
export function addLabel(counter: RowCounter, meant: string, said: string): void {
  if (meant === said) return counter.hit(meant);
  counter.expected(meant);
  counter.predicted(said);
}
