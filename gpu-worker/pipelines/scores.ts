/** Scores to an order. Ties keep the order of the classes. */
import type { Label } from "#contract/tasks/fields.ts";

/** Indices of the scores, the highest first. */
export function order(scores: readonly number[]): number[] {
  // The sort is stable.
  return scores.map((_, index) => index).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
}

/** Each label with its score, the best first. */
export function rankLabels(
  labels: readonly string[],
  scores: readonly number[],
  topK = labels.length,
): Label[] {
  return order(scores)
    .slice(0, topK)
    .map((index) => ({ label: labels[index] ?? "", score: scores[index] ?? 0 }));
}
