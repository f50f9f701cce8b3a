/** The best of very many scores, such as one for each word of a vocabulary: in one pass, without sorting them all. */
import { softmaxTerms } from "../tensor/activations.ts";
import { TopK } from "./top-k.ts";

export type TopScore = { at: number; score: number };

/**
 * Softmax over all logits, and the best of them, the best first; of equal ones the earlier.
 * @param among indices that are considered; null: all
 */
export function topSoftmax(
  logits: Float32Array,
  topK: number,
  among: readonly number[] | null,
): TopScore[] {
  const { max, sum } = softmaxTerms(logits);
  return best(logits, topK, among ?? logits.keys()).map((at) => ({
    at,
    score: Math.exp((logits[at] ?? -Infinity) - max) / sum,
  }));
}

/** Indices of the highest logits, the best first; of equal ones the earlier. */
function best(logits: Float32Array, topK: number, among: Iterable<number>): number[] {
  const kept = new TopK<number>(topK);
  for (const at of among) {
    const logit = logits[at] ?? -Infinity;
    if (kept.accepts(logit)) kept.add(at, logit);
  }
  return kept.inOrder().map(({ item }) => item);
}
