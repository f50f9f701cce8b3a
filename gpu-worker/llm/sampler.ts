/**
 * From rows of logits to tokens. Order, as in transformers' `_get_logits_processor` and vLLM's `Sampler`: logit bias,
 * repetition penalty, frequency and presence penalty, temperature, top-k, top-p, min-p (where vLLM puts min-p before
 * top-k, this is transformers' order). Every filter is a lower bound on a token's weight, so nothing is sorted; tokens
 * of equal weight are kept or dropped together.
 *
 * Log probabilities are the model's own, before bias, penalties and temperature (vLLM's default, `raw_logprobs`): they
 * mean the same in every request, and stay finite at temperature 0.
 */

import type { GeneratedToken, SamplingParameters, TokenScore } from "../model/generation.ts";
import { boundOfLargest, reachedBy } from "./largest.ts";
import { uniformDraw } from "./uniform-draw.ts";

export type LogitsRow = {
  parameters: SamplingParameters;
  promptTokens: ReadonlySet<number>;
  /** Token → how often it was generated. */
  outputCounts: ReadonlyMap<number, number>;
  /** Index among the choices of one request. */
  choice: number;
  /** How many tokens were generated before. */
  position: number;
};

export type Sampled =
  | ({ kind: "token" } & GeneratedToken)
  /** The row is no distribution: the model or its computation is broken. */
  | { kind: "unusable"; reason: UnusableRow };

export type UnusableRow = "a logit is NaN" | "a logit is +Infinity" | "every logit is -Infinity";

/** Holds the scratch memory of one vocabulary. */
export class Sampler {
  readonly vocabulary: number;
  readonly #scores: Float64Array;
  readonly #weights: Float64Array;
  readonly #selection: Float64Array;

  constructor(vocabulary: number) {
    this.vocabulary = vocabulary;
    this.#scores = new Float64Array(vocabulary);
    this.#weights = new Float64Array(vocabulary);
    this.#selection = new Float64Array(vocabulary);
  }

  /** @param logits [rows, vocabulary] f32 */
  sample(logits: Float32Array, rows: readonly LogitsRow[]): Sampled[] {
    if (logits.length !== rows.length * this.vocabulary) {
      throw new RangeError(
        `${logits.length} logits are not ${rows.length} rows of ${this.vocabulary}`,
      );
    }
    return rows.map((row, index) => {
      const from = index * this.vocabulary;
      return this.#sampleRow(logits.subarray(from, from + this.vocabulary), row);
    });
  }

  /** What a token is drawn from at this row: probabilities [vocabulary], in memory of its own. */
  distribution(logits: Float32Array, row: LogitsRow): Float64Array {
    const best = this.#score(logits, row);
    if (row.parameters.temperature === 0) {
      return new Float64Array(this.vocabulary).fill(1, best, best + 1);
    }
    const total = this.#weigh(best, row.parameters);
    return this.#weights.map((weight) => weight / total);
  }

  #sampleRow(logits: Float32Array, row: LogitsRow): Sampled {
    const reason = unusable(logits);
    if (reason !== null) return { kind: "unusable", reason };
    const token = this.#choose(logits, row);
    const { topLogprobs: count } = row.parameters;
    if (count === null) return { kind: "token", token, logprob: null, topLogprobs: [] };
    return { kind: "token", ...this.score(logits, token, count) };
  }

  /** Log probabilities of a row's token and of the `count` likeliest. @param logits [vocabulary] */
  score(logits: Float32Array, token: number, count: number): GeneratedToken {
    const normaliser = logSumExp(logits);
    const scoreOf = (id: number): TokenScore => ({
      token: id,
      logprob: (logits[id] ?? 0) - normaliser,
    });
    const topLogprobs = largestLogits(logits, count).map(scoreOf);
    return { ...scoreOf(token), topLogprobs };
  }

  #choose(logits: Float32Array, row: LogitsRow): number {
    const best = this.#score(logits, row);
    const { parameters, choice, position } = row;
    if (parameters.temperature === 0) return best;
    const total = this.#weigh(best, parameters);
    const draw = uniformDraw({ seed: parameters.seed, choice, position });
    return this.#tokenAt(draw * total) ?? best;
  }

  /** Fills the scores: logits after bias and penalties. @returns the first token of the highest */
  #score(logits: Float32Array, row: LogitsRow): number {
    const scores = this.#scores;
    scores.set(logits);
    for (const [token, bias] of row.parameters.logitBias) scores[token] = at(scores, token) + bias;
    this.#penalise(row);
    let best = 0;
    for (let token = 1; token < scores.length; token += 1) {
      if (at(scores, token) > at(scores, best)) best = token;
    }
    return best;
  }

  #penalise({ parameters, promptTokens, outputCounts }: LogitsRow): void {
    const { repetitionPenalty, frequencyPenalty, presencePenalty } = parameters;
    const scores = this.#scores;
    if (repetitionPenalty !== 1) {
      for (const token of promptTokens) repel(scores, token, repetitionPenalty);
      for (const token of outputCounts.keys()) {
        if (!promptTokens.has(token)) repel(scores, token, repetitionPenalty);
      }
    }
    if (frequencyPenalty === 0 && presencePenalty === 0) return;
    for (const [token, count] of outputCounts) {
      scores[token] = at(scores, token) - frequencyPenalty * count - presencePenalty;
    }
  }

  /** Fills the weights, proportional to the probabilities, 0 where filtered out. @returns their sum */
  #weigh(best: number, parameters: SamplingParameters): number {
    const [scores, weights] = [this.#scores, this.#weights];
    const highest = at(scores, best);
    let total = 0;
    for (let token = 0; token < weights.length; token += 1) {
      const weight = Math.exp((at(scores, token) - highest) / parameters.temperature);
      weights[token] = weight;
      total += weight;
    }
    const bound = this.#lowestWeight(total, parameters);
    return bound === 0 ? total : keepFrom(weights, bound);
  }

  /** The bound under which the filters drop a weight; the highest weight is 1. */
  #lowestWeight(total: number, { topK, topP, minP }: SamplingParameters): number {
    let [bound, kept] = [0, total];
    if (topK > 0 && topK < this.vocabulary) {
      const reached = reachedBy(this.#weights, topK, this.#selection);
      bound = boundOfLargest(this.#select(reached), topK, "count");
      kept = keepFrom(this.#weights, bound);
    }
    if (topP < 1) {
      // All weights under this bound together are less than what top-p may drop.
      const negligible = ((1 - topP) * kept) / this.vocabulary;
      bound = boundOfLargest(this.#select(Math.max(bound, negligible)), topP * kept, "sum");
    }
    return Math.max(bound, minP);
  }

  /** The weights at or above the bound, to be reordered. */
  #select(bound: number): Float64Array {
    const [weights, selection] = [this.#weights, this.#selection];
    let count = 0;
    for (let token = 0; token < weights.length; token += 1) {
      const weight = at(weights, token);
      if (weight < bound) continue;
      selection[count] = weight;
      count += 1;
    }
    return selection.subarray(0, count);
  }

  /** The token at this place of the line of weights; null where rounding put it beyond the end. */
  #tokenAt(place: number): number | null {
    let passed = 0;
    for (let token = 0; token < this.#weights.length; token += 1) {
      passed += at(this.#weights, token);
      if (place < passed) return token;
    }
    return null;
  }
}

/** Sets weights under the bound to 0. @returns the sum of the others */
function keepFrom(weights: Float64Array, bound: number): number {
  let total = 0;
  for (let token = 0; token < weights.length; token += 1) {
    const weight = at(weights, token);
    if (weight < bound) weights[token] = 0;
    else total += weight;
  }
  return total;
}

/** A seen token's score moves away from the sampled ones (Keskar et al., CTRL, 2019). */
function repel(scores: Float64Array, token: number, penalty: number): void {
  const score = at(scores, token);
  scores[token] = score < 0 ? score * penalty : score / penalty;
}

function unusable(logits: Float32Array): UnusableRow | null {
  let highest = -Infinity;
  for (let token = 0; token < logits.length; token += 1) {
    const logit = at(logits, token);
    if (Number.isNaN(logit)) return "a logit is NaN";
    if (logit > highest) highest = logit;
  }
  if (highest === Infinity) return "a logit is +Infinity";
  return highest === -Infinity ? "every logit is -Infinity" : null;
}

function logSumExp(logits: Float32Array): number {
  let [highest, total] = [-Infinity, 0];
  for (let token = 0; token < logits.length; token += 1) {
    if (at(logits, token) > highest) highest = at(logits, token);
  }
  for (let token = 0; token < logits.length; token += 1) {
    total += Math.exp(at(logits, token) - highest);
  }
  return highest + Math.log(total);
}

/** Tokens of the `count` highest logits, the highest first; of equal ones the lower token first. */
function largestLogits(logits: Float32Array, count: number): number[] {
  const kept: number[] = [];
  if (count === 0) return kept;
  for (let token = 0; token < logits.length; token += 1) {
    const logit = at(logits, token);
    if (kept.length === count && logit <= at(logits, kept[count - 1] ?? 0)) continue;
    if (kept.length === count) kept.pop();
    let place = kept.length;
    while (place > 0 && logit > at(logits, kept[place - 1] ?? 0)) place -= 1;
    kept.splice(place, 0, token);
  }
  return kept;
}

function at(values: Float32Array | Float64Array, index: number): number {
  return values[index] ?? 0;
}
