/** What a tuned model is compared with, where there are several that know nothing of its training: the best of them. */
import type { HeldOut } from "./held-out.ts";
import { measure } from "./measure.ts";
import { eachOnce } from "./row-counts.ts";

/** By what the verdict goes by, the higher the better; below all others where it is not defined. */
export function baseScore(heldOut: HeldOut): number {
  const { rows, metrics } = measure(heldOut);
  const [first] = metrics;
  const value = first?.base(eachOnce(rows)) ?? NaN;
  if (!Number.isFinite(value)) return -Infinity;
  return first?.better === "lower" ? -value : value;
}

/** @param base of the same rows, its `tuned` what the base says */
export function comparedWith<Rows extends HeldOut>(tuned: Rows, base: Rows): Rows {
  return { ...tuned, base: base.tuned };
}
