/** The best few of a great many scores, such as one for each word of a vocabulary: in one pass and without sorting them all. */

export type TopScore = { at: number; score: number };

/**
 * Softmax over all logits, and the best of them, the best first; of equal ones the earlier.
 * @param among places that are considered; null: all
 */
export function topSoftmax(
  logits: Float32Array,
  topK: number,
  among: readonly number[] | null,
): TopScore[] {
  let most = -Infinity;
  for (const logit of logits) if (logit > most) most = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return best(logits, topK, among ?? logits.keys()).map((at) => ({
    at,
    score: Math.exp((logits[at] ?? -Infinity) - most) / sum,
  }));
}

function best(logits: Float32Array, topK: number, among: Iterable<number>): number[] {
  const kept: number[] = [];
  const logitOf = (at: number | undefined) => (at === undefined ? -Infinity : (logits[at] ?? 0));
  for (const at of among) {
    const logit = logitOf(at);
    if (kept.length >= topK && logit <= logitOf(kept.at(-1))) continue;
    let [low, high] = [0, kept.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (logitOf(kept[middle]) >= logit) low = middle + 1;
      else high = middle;
    }
    kept.splice(low, 0, at);
    if (kept.length > topK) kept.pop();
  }
  return kept;
}
