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
import { emptyWeighed, keepFrom, selectFrom, tokenAt, weigh, type Weighed } from "./weigh.ts";

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

/** Scores of a row, and the first token of the highest. */
type Scored = { scores: Float32Array; best: number };

/** Holds the scratch memory of one vocabulary. */
export class Sampler {
  readonly vocabulary: number;
  readonly #scores: Float32Array;
  readonly #weighed: Weighed;
  readonly #selection: Float64Array;

  constructor(vocabulary: number) {
    this.vocabulary = vocabulary;
    this.#scores = new Float32Array(vocabulary);
    this.#weighed = emptyWeighed(vocabulary);
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
    const scored = this.#score(logits, firstOfHighest(logits), row);
    const probabilities = new Float64Array(this.vocabulary);
    if (row.parameters.temperature === 0)
      return probabilities.fill(1, scored.best, scored.best + 1);
    const { tokens, weights, count, total } = this.#weigh(scored, row.parameters);
    for (let at = 0; at < count; at += 1) {
      probabilities[tokens[at] ?? 0] = (weights[at] ?? 0) / total;
    }
    return probabilities;
  }

  #sampleRow(logits: Float32Array, row: LogitsRow): Sampled {
    const best = firstOfHighest(logits);
    const reason = unusable(logits, best);
    if (reason !== null) return { kind: "unusable", reason };
    const token = this.#choose(this.#score(logits, best, row), row);
    const { topLogprobs: count } = row.parameters;
    if (count === null) return { kind: "token", token, logprob: null, topLogprobs: [] };
    return { kind: "token", ...this.score(logits, token, count) };
  }

  /** Log probabilities of a row's token and of the `count` likeliest. @param logits [vocabulary] */
  score(logits: Float32Array, token: number, count: number): GeneratedToken {
    const highest = logits[firstOfHighest(logits)] ?? 0;
    const weighing = { highest, temperature: 1, lowest: -Infinity };
    weigh(logits, weighing, this.#weighed);
    const normaliser = highest + Math.log(this.#weighed.total);
    const scoreOf = (id: number): TokenScore => ({
      token: id,
      logprob: (logits[id] ?? 0) - normaliser,
    });
    return { ...scoreOf(token), topLogprobs: largestLogits(logits, count).map(scoreOf) };
  }

  #choose(scored: Scored, { parameters, choice, position }: LogitsRow): number {
    if (parameters.temperature === 0) return scored.best;
    const weighed = this.#weigh(scored, parameters);
    const draw = uniformDraw({ seed: parameters.seed, choice, position });
    return tokenAt(weighed, draw * weighed.total) ?? scored.best;
  }

  /** Logits after bias and penalties: the row's own memory where it has none. */
  #score(logits: Float32Array, best: number, row: LogitsRow): Scored {
    if (!isAdjusted(row)) return { scores: logits, best };
    const scores = this.#scores;
    scores.set(logits);
    for (const [token, bias] of row.parameters.logitBias) {
      if (token < scores.length) scores[token] = (scores[token] ?? 0) + bias;
    }
    penalise(scores, row);
    return { scores, best: firstOfHighest(scores) };
  }

  /** Proportional to the probabilities, without what is filtered out; the highest weight is 1. */
  #weigh({ scores, best }: Scored, parameters: SamplingParameters): Weighed {
    const { temperature, topK, topP, minP } = parameters;
    const weighed = this.#weighed;
    const highest = scores[best] ?? 0;
    const limited = topK > 0 && topK < this.vocabulary;
    const lowest = limited ? reachedBy(scores, topK, this.#selection) : -Infinity;
    weigh(scores, { highest, temperature, lowest }, weighed);
    if (limited) {
      const all = selectFrom(weighed, 0, this.#selection);
      if (topK < all.length) keepFrom(weighed, boundOfLargest(all, topK, "count"));
    }
    let bound = minP;
    if (topP < 1) {
      // All weights under this bound together are less than what top-p may drop.
      const negligible = ((1 - topP) * weighed.total) / this.vocabulary;
      const others = selectFrom(weighed, negligible, this.#selection);
      bound = Math.max(bound, boundOfLargest(others, topP * weighed.total, "sum"));
    }
    if (bound > 0) keepFrom(weighed, bound);
    return weighed;
  }
}

function isAdjusted({ parameters, outputCounts, promptTokens }: LogitsRow): boolean {
  const { logitBias, repetitionPenalty, frequencyPenalty, presencePenalty } = parameters;
  if (logitBias.size > 0) return true;
  if (repetitionPenalty !== 1 && promptTokens.size + outputCounts.size > 0) return true;
  return (frequencyPenalty !== 0 || presencePenalty !== 0) && outputCounts.size > 0;
}

function penalise(scores: Float32Array, row: LogitsRow): void {
  const { parameters, promptTokens, outputCounts } = row;
  const { repetitionPenalty, frequencyPenalty, presencePenalty } = parameters;
  if (repetitionPenalty !== 1) {
    for (const token of promptTokens) repel(scores, token, repetitionPenalty);
    for (const token of outputCounts.keys()) {
      if (!promptTokens.has(token)) repel(scores, token, repetitionPenalty);
    }
  }
  if (frequencyPenalty === 0 && presencePenalty === 0) return;
  for (const [token, count] of outputCounts) {
    scores[token] = (scores[token] ?? 0) - frequencyPenalty * count - presencePenalty;
  }
}

/** A seen token's score moves away from the sampled ones (Keskar et al., CTRL, 2019). */
function repel(scores: Float32Array, token: number, penalty: number): void {
  const score = scores[token] ?? 0;
  scores[token] = score < 0 ? score * penalty : score / penalty;
}

/** The first NaN, where there is one. */
function firstOfHighest(values: Float32Array): number {
  let [best, highest] = [0, values[0] ?? 0];
  for (let at = 1; at < values.length; at += 1) {
    const value = values[at] ?? 0;
    if (value <= highest) continue;
    if (Number.isNaN(highest)) return best;
    best = at;
    highest = value;
  }
  return best;
}

function unusable(logits: Float32Array, best: number): UnusableRow | null {
  const highest = logits[best] ?? 0;
  if (Number.isNaN(highest)) return "a logit is NaN";
  if (highest === Infinity) return "a logit is +Infinity";
  return highest === -Infinity ? "every logit is -Infinity" : null;
}

/** Tokens of the `count` highest logits, the highest first; of equal ones the lower token first. */
function largestLogits(logits: Float32Array, count: number): number[] {
  const kept: number[] = [];
  if (count === 0) return kept;
  const at = (token: number | undefined) => logits[token ?? 0] ?? 0;
  for (let token = 0; token < logits.length; token += 1) {
    const logit = at(token);
    if (kept.length === count && logit <= at(kept[count - 1])) continue;
    if (kept.length === count) kept.pop();
    let place = kept.length;
    while (place > 0 && logit > at(kept[place - 1])) place -= 1;
    kept.splice(place, 0, token);
  }
  return kept;
}
