/** Rows that the tuned model does worse than the base: the furthest fall first, among equals the surest mistake. */
import { type Regression, reportBounds } from "#contract/training/evaluation-report.ts";
import { boundText } from "./bound-texts.ts";
import type { Measured } from "./measured.ts";

export function worstRegressions(
  { outcomes, show }: Measured,
  texts: readonly string[],
): { total: number; worst: Regression[] } {
  const fallen = outcomes
    .map((outcome, row) => ({ ...outcome, row, fall: outcome.baseScore - outcome.tunedScore }))
    .filter(({ fall }) => fall > 0)
    .sort((a, b) => b.fall - a.fall || b.confidence - a.confidence || a.row - b.row);
  const worst = fallen.slice(0, reportBounds.regressionsMax).map((each): Regression => {
    const { expected, base, tuned } = show(each.row);
    return {
      row: each.row,
      text: boundText(texts[each.row] ?? ""),
      expected: boundText(expected),
      base: boundText(base),
      tuned: boundText(tuned),
      base_score: each.baseScore,
      tuned_score: each.tunedScore,
    };
  });
  return { total: fallen.length, worst };
}
