/** Logits to probabilities. */

/**
 * What softmax is made of: the greatest logit, and the sum of the powers of all after it is taken off, which keeps them
 * from overflowing. The probability of a logit is `exp(logit − max) / sum`.
 */
export function softmaxTerms(logits: ArrayLike<number>): { max: number; sum: number } {
  let max = -Infinity;
  for (let at = 0; at < logits.length; at += 1) max = Math.max(max, logits[at] ?? NaN);
  let sum = 0;
  for (let at = 0; at < logits.length; at += 1) sum += Math.exp((logits[at] ?? NaN) - max);
  return { max, sum };
}

/** @returns as many numbers as there are logits, positive, 1 in all */
export function softmax(logits: ArrayLike<number>): number[] {
  const { max, sum } = softmaxTerms(logits);
  const probabilities: number[] = [];
  for (let at = 0; at < logits.length; at += 1) {
    probabilities.push(Math.exp((logits[at] ?? NaN) - max) / sum);
  }
  return probabilities;
}

/** Logarithm of the probability of the logit at this index. */
export function logLikelihood(logits: ArrayLike<number>, index: number): number {
  const { max, sum } = softmaxTerms(logits);
  return (logits[index] ?? NaN) - max - Math.log(sum);
}

export function sigmoid(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}
