/** Logits to scores, and scores to an order. Ties keep the order of the classes. */
import type { Label } from "#contract/tasks/fields.ts";

/** @returns as many numbers as there are logits, positive, 1 in all */
export function softmax(logits: ArrayLike<number>): number[] {
  const values = Array.from(logits);
  const most = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = values.map((value) => Math.exp(value - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

export function sigmoid(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}

/** Places of the scores, the highest first. */
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
