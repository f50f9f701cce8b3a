/**
 * The highest score of each block of a vocabulary: most blocks hold nothing that could be chosen, and are passed over.
 * Of the tokens that are allowed, they are bounds, so that a mask is looked at in few blocks.
 * Loops here and in token-weights.ts have no branches, which made them two to three times slower.
 */
import { logitBlockTokens as blockTokens } from "../model/logit-blocks.ts";
import { isAllowed } from "./token-mask.ts";

export class BlockMaxima {
  readonly #maxima: Float64Array;
  readonly #scratch: Float64Array;
  #scores: Float32Array;
  /** NaN where a score is. */
  highest = 0;

  constructor(vocabulary: number) {
    this.#scores = new Float32Array(vocabulary);
    this.#maxima = new Float64Array(Math.ceil(vocabulary / blockTokens));
    this.#scratch = new Float64Array(this.#maxima.length);
  }

  /** @param scores as many as the vocabulary has, unchanged while this is asked about them */
  read(scores: Float32Array): void {
    this.#scores = scores;
    this.highest = readMaxima(scores, this.#maxima);
  }

  /** @param maxima of the scores, known already; none is NaN */
  take(scores: Float32Array, maxima: Float32Array): void {
    this.#scores = scores;
    this.#maxima.set(maxima);
    this.highest = this.#maxima.reduce((most, each) => Math.max(most, each), -Infinity);
  }

  /** The first token of the highest score. */
  best(): number {
    const block = this.#maxima.indexOf(this.highest);
    return this.#scores.indexOf(this.highest, block * blockTokens);
  }

  /** The first of the tokens with the highest score that are allowed; -1: none with a finite score is. */
  bestAllowed(allowed: Int32Array): number {
    let best = -1;
    let highest = -Infinity;
    for (let block = 0; block < this.#maxima.length; block += 1) {
      if (!((this.#maxima[block] ?? 0) > highest)) continue;
      const from = block * blockTokens;
      if (((allowed[from >>> 5] ?? 0) | (allowed[(from >>> 5) + 1] ?? 0)) === 0) continue;
      const to = Math.min(this.#scores.length, from + blockTokens);
      for (let token = from; token < to; token += 1) {
        const score = this.#scores[token] ?? 0;
        if (!(score > highest) || !isAllowed(allowed, token)) continue;
        best = token;
        highest = score;
      }
    }
    return best;
  }

  /** Blocks with a score of at least `lowest`. */
  blocksFrom(lowest: number): number[] {
    const blocks: number[] = [];
    for (let block = 0; block < this.#maxima.length; block += 1) {
      if ((this.#maxima[block] ?? 0) >= lowest) blocks.push(block);
    }
    return blocks;
  }

  /** A copy, to be reordered. */
  values(): Float64Array {
    this.#scratch.set(this.#maxima);
    return this.#scratch;
  }

  /** Tokens of the `count` highest scores, the highest first; of equal ones the lower token first. */
  largest(count: number): number[] {
    const kept: number[] = [];
    if (count === 0) return kept;
    const at = (token: number | undefined) => this.#scores[token ?? 0] ?? 0;
    for (let block = 0; block < this.#maxima.length; block += 1) {
      const full = kept.length === count;
      if (full && (this.#maxima[block] ?? 0) <= at(kept[count - 1])) continue;
      const to = Math.min(this.#scores.length, (block + 1) * blockTokens);
      for (let token = block * blockTokens; token < to; token += 1) {
        const score = at(token);
        if (kept.length === count && score <= at(kept[count - 1])) continue;
        if (kept.length === count) kept.pop();
        let place = kept.length;
        while (place > 0 && score > at(kept[place - 1])) place -= 1;
        kept.splice(place, 0, token);
      }
    }
    return kept;
  }
}

/** @returns the highest */
function readMaxima(scores: Float32Array, maxima: Float64Array): number {
  let highest = -Infinity;
  for (let block = 0; block < maxima.length; block += 1) {
    const to = Math.min(scores.length, (block + 1) * blockTokens);
    let most = -Infinity;
    for (let token = block * blockTokens; token < to; token += 1) {
      most = Math.max(most, scores[token] ?? 0);
    }
    maxima[block] = most;
    highest = Math.max(highest, most);
  }
  return highest;
}
