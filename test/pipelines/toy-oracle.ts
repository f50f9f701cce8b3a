/** What the toy encoder's answers are checked against, computed in the plainest way. */

export const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

export const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

export function softmax(logits: readonly number[]): number[] {
  const powers = logits.map((logit) => Math.exp(logit));
  return powers.map((power) => power / sum(powers));
}

export const cosine = (a: readonly number[], b: readonly number[]) =>
  sum(a.map((x, at) => x * (b[at] ?? 0))) / (Math.hypot(...a) * Math.hypot(...b));

/** [sum of ids, tokens], special tokens 1 and 2 included. */
export function vectorOf(text: string): number[] {
  const ids = text.split(" ").map(Number);
  return [sum(ids) + 3, ids.length + 2];
}

/** Of a text and each of others. */
export const cosinesTo = (text: string, others: readonly string[]) =>
  others.map((other) => cosine(vectorOf(text), vectorOf(other)));
