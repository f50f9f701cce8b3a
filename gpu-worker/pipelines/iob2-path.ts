/**
 * The likeliest tags of words that follow each other, of those that IOB2 allows: inside an entity goes on with one of
 * its kind (Viterbi's algorithm, by the words' own probabilities).
 */

/** Of a class that a word certainly is not. */
const least = 1e-30;

function logOf(scores: readonly number[], label: number): number {
  return Math.log(Math.max(scores[label] ?? 0, least));
}

/** Of each class, those that may go before it; null: all, and the beginning too. */
function goesBefore(labels: readonly string[]): (readonly number[] | null)[] {
  const classOf = new Map(labels.map((label, at) => [label, at]));
  return labels.map((label) => {
    if (!label.startsWith("I-")) return null;
    const kind = label.slice(2);
    return [`B-${kind}`, `I-${kind}`].flatMap((each) => classOf.get(each) ?? []);
  });
}

function likeliest(values: readonly number[], among: Iterable<number>): number {
  let best = -1;
  for (const at of among) if (best < 0 || (values[at] ?? 0) > (values[best] ?? 0)) best = at;
  return Math.max(0, best);
}

/**
 * @param scores of each word, its probabilities by class
 * @returns the class of each
 */
export function iob2Path(
  scores: readonly (readonly number[])[],
  labels: readonly string[],
): number[] {
  const before = goesBefore(labels);
  /** Of each class, the log-probability of the likeliest path to the last word that ends in it. */
  let best: number[] = before.map((own) => (own === null ? 0 : -Infinity));
  const steps: number[][] = [];
  for (const [at, word] of scores.entries()) {
    const any = likeliest(best, best.keys());
    const from = before.map((own) => (own === null ? any : likeliest(best, own)));
    best = from.map((previous, label) => {
      const so = at === 0 ? best[label] : best[previous];
      return (so ?? 0) + logOf(word, label);
    });
    steps.push(from);
  }
  const path: number[] = [];
  let label = likeliest(best, best.keys());
  for (const from of steps.toReversed()) {
    path.push(label);
    label = from[label] ?? 0;
  }
  return path.toReversed();
}
