/**
 * Weights of tokens from their scores: exp((score − highest) / temperature), for a whole vocabulary in a tenth of a
 * millisecond. Math.exp takes 10 ns a token; here a table of powers of two gives all but a last factor near 1, whose
 * series of four terms is exact to 1e-13.
 */
import { logitBlockTokens as blockTokens } from "../model/logit-blocks.ts";
import { boundOfLargest } from "./largest.ts";
import { wordTokens } from "./token-mask.ts";

/** Steps of the table in each power of two. */
const steps = 64;
/** Weights below 2^-64 are 0: those of a whole vocabulary together are less than an f64 can tell from 1. */
const powers = 64;
const last = steps * powers;
/** 2^((at − last) / steps). */
const table = Float64Array.from({ length: last + 1 }, (_, at) => 2 ** ((at - last) / steps));
table[0] = 0;
const stepsPerUnit = steps / Math.LN2;
const unitsPerStep = Math.LN2 / steps;

export type Scale = {
  /** Of the scores. */
  highest: number;
  temperature: number;
};

export type MaskedScores = {
  /** No NaN. */
  scores: Float32Array;
  /** Others weigh nothing, see `NextTokens`. Null: all are. */
  allowed: Int32Array | null;
};

/** Powers of two in as many buckets as the table has steps: by the upper bits of a weight, which order as it does. */
const bucketBits = 14;
/** 1023: the exponent of 1. */
const lowestBucket = (1023 - powers) * steps;

/** Those of some tokens, in ascending order. */
export class TokenWeights {
  readonly #weights: Float64Array;
  /** The upper and lower halves of the weights. Every platform this runs on is little-endian. */
  readonly #halves: Uint32Array;
  readonly #tokens: Int32Array;
  /** Each token has its own weight: those of `#tokens` are not written. */
  #all = false;
  readonly #scratch: Float64Array;
  readonly #buckets = new Float64Array(last + steps);
  count = 0;
  /** Of the weights. */
  total = 0;

  constructor(vocabulary: number) {
    this.#weights = new Float64Array(vocabulary);
    this.#halves = new Uint32Array(this.#weights.buffer);
    this.#tokens = new Int32Array(vocabulary);
    this.#scratch = new Float64Array(vocabulary);
  }

  /** Of all tokens. */
  weighAll({ scores, allowed }: MaskedScores, scale: Scale): void {
    this.count = scores.length;
    this.total =
      allowed === null
        ? weigh(scores, scale, this.#weights)
        : weighAllowed({ scores, allowed, from: 0 }, scale, this.#weights);
    this.#all = true;
  }

  /** Of the allowed tokens alone, which takes less where they are few. */
  weighFew(scores: Float32Array, { highest, temperature }: Scale, allowed: Int32Array): void {
    const scale = stepsPerUnit / temperature;
    let [count, total] = [0, 0];
    for (let from = 0; from < scores.length; from += wordTokens) {
      let word = allowed[from / wordTokens] ?? 0;
      while (word !== 0) {
        const token = from + 31 - Math.clz32(word & -word);
        word &= word - 1;
        if (token >= scores.length) break;
        const weight = powerOf(Math.max(((scores[token] ?? 0) - highest) * scale, -last));
        this.#tokens[count] = token;
        this.#weights[count] = weight;
        count += 1;
        total += weight;
      }
    }
    this.#keep(count, total);
  }

  /** Of the tokens of some blocks. */
  weighBlocks({ scores, allowed }: MaskedScores, scale: Scale, blocks: readonly number[]): void {
    let [count, total] = [0, 0];
    for (const block of blocks) {
      const from = block * blockTokens;
      const own = scores.subarray(from, from + blockTokens);
      const weights = this.#weights.subarray(count);
      total +=
        allowed === null
          ? weigh(own, scale, weights)
          : weighAllowed({ scores: own, allowed, from }, scale, weights);
      for (let at = 0; at < own.length; at += 1) this.#tokens[count + at] = from + at;
      count += own.length;
    }
    this.#keep(count, total);
  }

  /** Leaves out the tokens of other blocks than these, having weighed all. */
  keepBlocks(blocks: readonly number[]): void {
    let [count, total] = [0, 0];
    for (const block of blocks) {
      const to = Math.min(this.count, (block + 1) * blockTokens);
      for (let token = block * blockTokens; token < to; token += 1) {
        const weight = this.#weights[token] ?? 0;
        this.#weights[count] = weight;
        this.#tokens[count] = token;
        count += 1;
        total += weight;
      }
    }
    this.#keep(count, total);
  }

  /** Leaves out weights under the bound. */
  keepFrom(bound: number): void {
    let [count, total] = [0, 0];
    for (let at = 0; at < this.count; at += 1) {
      const weight = this.#weights[at] ?? 0;
      if (weight < bound) continue;
      this.#tokens[count] = this.#tokenOf(at);
      this.#weights[count] = weight;
      count += 1;
      total += weight;
    }
    this.#keep(count, total);
  }

  /** So many, and those that are equal to the least of them; all where there are no more. */
  keepLargest(count: number): void {
    if (this.count > count) this.keepFrom(boundOfLargest(this.values(), count, "count"));
  }

  /** How many weights are at or above the bound; those that are 0 never. */
  countFrom(bound: number): number {
    const least = Math.max(bound, Number.MIN_VALUE);
    let count = 0;
    for (let at = 0; at < this.count; at += 1) if ((this.#weights[at] ?? 0) >= least) count += 1;
    return count;
  }

  /** What the weights at or above the bound amount to. */
  sumFrom(bound: number): number {
    let sum = 0;
    for (let at = 0; at < this.count; at += 1) {
      const weight = this.#weights[at] ?? 0;
      if (weight >= bound) sum += weight;
    }
    return sum;
  }

  /** So many weights are there now, those of `#tokens`. */
  #keep(count: number, total: number): void {
    this.#all = false;
    this.count = count;
    this.total = total;
  }

  #tokenOf(at: number): number {
    return this.#all ? at : (this.#tokens[at] ?? 0);
  }

  /** The largest bound such that the weights at or above it amount to `sum`, see largest.ts; some do in any case. */
  boundOfSum(sum: number): number {
    const enough = Math.max(sum, Number.MIN_VALUE);
    const { above, bucket } = this.#bucketOfSum(enough);
    const values = this.#scratch;
    let count = 0;
    for (let at = 0; at < this.count; at += 1) {
      if (this.#bucketOf(at) !== bucket) continue;
      values[count] = this.#weights[at] ?? 0;
      count += 1;
    }
    return count === 0 ? 0 : boundOfLargest(values.subarray(0, count), enough - above, "sum");
  }

  /** Where the sum is reached, from the highest down, and the sum above it. */
  #bucketOfSum(enough: number): { above: number; bucket: number } {
    const buckets = this.#buckets.fill(0);
    for (let at = 0; at < this.count; at += 1) {
      const bucket = this.#bucketOf(at);
      buckets[bucket] = (buckets[bucket] ?? 0) + (this.#weights[at] ?? 0);
    }
    let above = 0;
    for (let bucket = buckets.length - 1; bucket > 0; bucket -= 1) {
      const own = buckets[bucket] ?? 0;
      if (above + own >= enough) return { above, bucket };
      above += own;
    }
    return { above, bucket: 0 };
  }

  /** Those that are 0 are in the first. */
  #bucketOf(at: number): number {
    return Math.max(0, ((this.#halves[2 * at + 1] ?? 0) >>> bucketBits) - lowestBucket);
  }

  /** A copy, to be reordered. */
  values(): Float64Array {
    const values = this.#scratch.subarray(0, this.count);
    values.set(this.#weights.subarray(0, this.count));
    return values;
  }

  *[Symbol.iterator](): Generator<[token: number, weight: number]> {
    for (let at = 0; at < this.count; at += 1) {
      yield [this.#tokenOf(at), this.#weights[at] ?? 0];
    }
  }

  /** The token at this place of the line of weights; null where rounding put it beyond the end. */
  tokenAt(place: number): number | null {
    let passed = 0;
    for (let from = 0; from < this.count; from += blockTokens) {
      const to = Math.min(this.count, from + blockTokens);
      let block = 0;
      for (let at = from; at < to; at += 1) block += this.#weights[at] ?? 0;
      if (place >= passed + block) {
        passed += block;
        continue;
      }
      for (let at = from; at < to; at += 1) {
        passed += this.#weights[at] ?? 0;
        if (place < passed) return this.#tokenOf(at);
      }
    }
    return null;
  }
}

/** @returns the sum of the weights */
function weigh(
  scores: Float32Array,
  { highest, temperature }: Scale,
  weights: Float64Array,
): number {
  const scale = stepsPerUnit / temperature;
  let total = 0;
  for (let token = 0; token < scores.length; token += 1) {
    const weight = powerOf(Math.max(((scores[token] ?? 0) - highest) * scale, -last));
    weights[token] = weight;
    total += weight;
  }
  return total;
}

/** Of the allowed ones; the others weigh nothing. @param from first token of the scores, of a word of the mask too */
function weighAllowed(
  { scores, allowed, from }: { scores: Float32Array; allowed: Int32Array; from: number },
  { highest, temperature }: Scale,
  weights: Float64Array,
): number {
  const scale = stepsPerUnit / temperature;
  let total = 0;
  for (let at = 0; at < scores.length; at += wordTokens) {
    const to = Math.min(scores.length, at + wordTokens);
    let word = allowed[(from + at) / wordTokens] ?? 0;
    if (word === 0) {
      weights.fill(0, at, to);
      continue;
    }
    for (let token = at; token < to; token += 1) {
      // What is not allowed may be above the highest.
      const place = Math.min(Math.max(((scores[token] ?? 0) - highest) * scale, -last), 0);
      const weight = powerOf(place) * (word & 1);
      word >>>= 1;
      weights[token] = weight;
      total += weight;
    }
  }
  return total;
}

/** 2^(place / steps). @param place from -last to 0 */
function powerOf(place: number): number {
  // To the nearest whole number, as it is not above 0.
  const nearest = (place - 0.5) | 0;
  const r = (place - nearest) * unitsPerStep;
  const square = r * r;
  // The terms in pairs, which the processor computes side by side.
  const rest = 1 + r + square * (1 / 2 + r * (1 / 6) + square * (1 / 24));
  return (table[nearest + last] ?? 0) * rest;
}
