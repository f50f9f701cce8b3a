/**
 * Weights of tokens from their scores: exp((score − highest) / temperature), for a whole vocabulary in a tenth of a
 * millisecond. Math.exp takes 10 ns a token; here a table of powers of two gives all but a last factor near 1, whose
 * series of four terms is exact to 1e-13.
 */

/** Steps of the table in each power of two. */
const steps = 64;
/** Weights below 2^-64 are left out: those of a whole vocabulary together are less than an f64 can tell from 1. */
const powers = 64;
const last = steps * powers;
/** 2^((at − last) / steps). */
const table = Float64Array.from({ length: last + 1 }, (_, at) => 2 ** ((at - last) / steps));
const stepsPerUnit = steps / Math.LN2;
const unitsPerStep = Math.LN2 / steps;

/** Tokens with a weight, in ascending order. Reused from row to row. */
export type Weighed = {
  readonly tokens: Int32Array;
  readonly weights: Float64Array;
  count: number;
  /** Of the weights. */
  total: number;
};

export function emptyWeighed(vocabulary: number): Weighed {
  return {
    tokens: new Int32Array(vocabulary),
    weights: new Float64Array(vocabulary),
    count: 0,
    total: 0,
  };
}

export type Weighing = {
  /** Of the scores. */
  highest: number;
  temperature: number;
  /** Tokens of lower scores have no weight. */
  lowest: number;
};

/** @param scores no NaN, none above the highest */
export function weigh(
  scores: Float32Array,
  { highest, temperature, lowest }: Weighing,
  weighed: Weighed,
): void {
  const { tokens, weights } = weighed;
  const scale = stepsPerUnit / temperature;
  const from = Math.max(lowest, highest - (last - 1) / scale);
  let [count, total] = [0, 0];
  for (let token = 0; token < scores.length; token += 1) {
    const score = scores[token] ?? 0;
    if (score < from) continue;
    const place = (score - highest) * scale;
    // To the nearest whole number, as it is not above 0.
    const nearest = (place - 0.5) | 0;
    const r = (place - nearest) * unitsPerStep;
    const rest = 1 + r * (1 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24))));
    const weight = (table[nearest + last] ?? 0) * rest;
    tokens[count] = token;
    weights[count] = weight;
    count += 1;
    total += weight;
  }
  weighed.count = count;
  weighed.total = total;
}

/** Leaves out weights under the bound. */
export function keepFrom(weighed: Weighed, bound: number): void {
  const { tokens, weights } = weighed;
  let [count, total] = [0, 0];
  for (let at = 0; at < weighed.count; at += 1) {
    const weight = weights[at] ?? 0;
    if (weight < bound) continue;
    tokens[count] = tokens[at] ?? 0;
    weights[count] = weight;
    count += 1;
    total += weight;
  }
  weighed.count = count;
  weighed.total = total;
}

/** The weights at or above the bound, put into `into`, to be reordered. */
export function selectFrom(
  { weights, count }: Weighed,
  bound: number,
  into: Float64Array,
): Float64Array {
  let selected = 0;
  for (let at = 0; at < count; at += 1) {
    const weight = weights[at] ?? 0;
    if (weight < bound) continue;
    into[selected] = weight;
    selected += 1;
  }
  return into.subarray(0, selected);
}

/** The token at this place of the line of weights; null where rounding put it beyond the end. */
export function tokenAt({ tokens, weights, count }: Weighed, place: number): number | null {
  let passed = 0;
  for (let at = 0; at < count; at += 1) {
    passed += weights[at] ?? 0;
    if (place < passed) return tokens[at] ?? null;
  }
  return null;
}
