/** Selection of the largest values without sorting: a three-way quickselect, linear in the mean. */

/**
 * The largest bound such that the values at or above it amount to `enough`; the smallest value where all do not.
 * Equal values stand or fall together.
 *
 * @param values at least one, no NaN; they are reordered
 * @param measure "count": each value counts one; "sum": each counts itself
 */
export function boundOfLargest(
  values: Float64Array,
  enough: number,
  measure: "count" | "sum",
): number {
  let [from, to, missing] = [0, values.length, enough];
  for (;;) {
    const pivot = medianOfThree(values, from, to);
    const { larger, smaller } = partition(values, { from, to, pivot });
    const above = measure === "count" ? larger - from : sum(values, from, larger);
    if (larger > from && above >= missing) {
      to = larger;
      continue;
    }
    const equal = (smaller - larger) * (measure === "count" ? 1 : pivot);
    if (smaller === to || above + equal >= missing) return pivot;
    missing -= above + equal;
    from = smaller;
  }
}

/** Reorders [from, to) into larger than the pivot, equal to it, smaller: the ends of the first two. */
function partition(values: Float64Array, range: { from: number; to: number; pivot: number }) {
  const { pivot } = range;
  let [larger, at, smaller] = [range.from, range.from, range.to];
  while (at < smaller) {
    const value = values[at] ?? 0;
    if (value > pivot) {
      values[at] = values[larger] ?? 0;
      values[larger] = value;
      larger += 1;
      at += 1;
    } else if (value < pivot) {
      smaller -= 1;
      values[at] = values[smaller] ?? 0;
      values[smaller] = value;
    } else {
      at += 1;
    }
  }
  return { larger, smaller };
}

function sum(values: Float64Array, from: number, to: number): number {
  let total = 0;
  for (let at = from; at < to; at += 1) total += values[at] ?? 0;
  return total;
}

function medianOfThree(values: Float64Array, from: number, to: number): number {
  const a = values[from] ?? 0;
  const b = values[(from + to) >>> 1] ?? 0;
  const c = values[to - 1] ?? 0;
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}
