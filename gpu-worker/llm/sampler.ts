/**
 * From a row of logits to a token. Order, as in transformers' `_get_logits_processor` and vLLM's `Sampler`: logit bias,
 * repetition penalty, frequency and presence penalty, temperature, top-k, top-p, min-p (where vLLM puts min-p before
 * top-k, this is transformers' order). Every filter is a lower bound on a token's weight, so nothing is sorted; tokens
 * of equal weight are kept or dropped together.
 *
 * What is not allowed has no weight from the beginning: filters act on what is.
 *
 * Log probabilities are the model's own, before bias, penalties and temperature (vLLM's default, `raw_logprobs`), and
 * whatever is allowed: they mean the same in every request, and stay finite at temperature 0.
 */

import type { GeneratedToken, SamplingParameters, TokenScore } from "../model/generation.ts";
import { type LogitBlocks, logitBlockTokens } from "../model/logit-blocks.ts";
import { BlockMaxima } from "./block-maxima.ts";
import { boundOfLargest } from "./largest.ts";
import { allowedCount } from "./token-mask.ts";
import { type MaskedScores, type Scale, TokenWeights } from "./token-weights.ts";
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
  /** Only these can come, see `NextTokens`. Null: any can. */
  allowed: Int32Array | null;
};

export type Sampled =
  | ({ kind: "token" } & GeneratedToken)
  /** The row is no distribution: the model or its computation is broken. */
  | { kind: "unusable"; reason: UnusableRow };

export type UnusableRow =
  | "a logit is NaN"
  | "a logit is +Infinity"
  | "every logit is -Infinity"
  | "every logit of an allowed token is -Infinity";

/** That top-p looks at first: most often it keeps nothing of others. */
const nucleusBlocks = 32;

/** The blocks of a row whose sums are finite, and their sum. */
type KnownBlocks = LogitBlocks & { readonly total: number };

/** Below it the likeliest token is taken, as vLLM does: quotients by less are beyond an f64. */
const temperatureMin = 1e-5;

/** Holds the scratch memory of one vocabulary. */
export class Sampler {
  readonly vocabulary: number;
  readonly #scores: Float32Array;
  readonly #maxima: BlockMaxima;
  readonly #weights: TokenWeights;

  constructor(vocabulary: number) {
    this.vocabulary = vocabulary;
    this.#scores = new Float32Array(vocabulary);
    this.#maxima = new BlockMaxima(vocabulary);
    this.#weights = new TokenWeights(vocabulary);
  }

  /** What a token is drawn from at this row: probabilities [vocabulary], in memory of its own. */
  distribution(logits: Float32Array, row: LogitsRow): Float64Array {
    this.#maxima.read(logits);
    const scores = this.#score(logits, row);
    const probabilities = new Float64Array(this.vocabulary);
    const best = this.#best(row);
    if (row.parameters.temperature < temperatureMin) return probabilities.fill(1, best, best + 1);
    this.#weigh(scores, row, best);
    for (const [token, weight] of this.#weights) {
      probabilities[token] = weight / this.#weights.total;
    }
    return probabilities;
  }

  /**
   * @param logits [vocabulary] f32
   * @param blocks of this row, with the sums at its temperature where it `drawsFromAll`; null: the logits are read
   */
  sample(logits: Float32Array, row: LogitsRow, blocks: LogitBlocks | null = null): Sampled {
    if (logits.length !== this.vocabulary) {
      throw new RangeError(`${logits.length} logits are not those of ${this.vocabulary} tokens`);
    }
    const known = isAdjusted(row) ? null : knownBlocks(blocks);
    if (known === null) this.#maxima.read(logits);
    else this.#maxima.take(logits, known.maxima);
    const reason = unusable(this.#maxima.highest);
    if (reason !== null) return { kind: "unusable", reason };
    const token = this.#choose(this.#score(logits, row), row, known);
    if (token === -1) {
      return { kind: "unusable", reason: "every logit of an allowed token is -Infinity" };
    }
    const { topLogprobs: count } = row.parameters;
    if (count === null) return { kind: "token", token, logprob: null, topLogprobs: [] };
    return { kind: "token", ...this.score(logits, token, count) };
  }

  /** Log probabilities of a row's token and of the `count` likeliest. @param logits [vocabulary] */
  score(logits: Float32Array, token: number, count: number): GeneratedToken {
    this.#maxima.read(logits);
    const { highest } = this.#maxima;
    this.#weights.weighAll({ scores: logits, allowed: null }, { highest, temperature: 1 });
    const normaliser = highest + Math.log(this.#weights.total);
    const scoreOf = (id: number): TokenScore => ({
      token: id,
      logprob: (logits[id] ?? 0) - normaliser,
    });
    return { ...scoreOf(token), topLogprobs: this.#maxima.largest(count).map(scoreOf) };
  }

  /** @returns -1: nothing that is allowed can come */
  #choose(scores: Float32Array, row: LogitsRow, known: KnownBlocks | null): number {
    const best = this.#best(row);
    const { parameters, choice, position, allowed } = row;
    const { temperature, topP, seed } = parameters;
    if (temperature < temperatureMin || best === -1) return best;
    const draw = uniformDraw({ seed, choice, position });
    const fromAll = allowed === null && drawsFromAll(parameters, this.vocabulary);
    const summed = fromAll ? known : null;
    if (summed !== null && topP === 1) {
      const scale = { highest: this.#maxima.highest, temperature };
      return this.#drawBySums(scores, scale, summed, draw) ?? best;
    }
    this.#weigh(scores, row, best, summed);
    return this.#weights.tokenAt(draw * this.#weights.total) ?? best;
  }

  /** The block first, then a token of it; null where rounding put the place beyond the end. */
  #drawBySums(
    scores: Float32Array,
    scale: Scale,
    { sums, total }: KnownBlocks,
    draw: number,
  ): number | null {
    let rest = draw * total;
    for (const [block, sum] of sums.entries()) {
      if (rest < sum) {
        this.#weights.weighBlocks({ scores, allowed: null }, scale, [block]);
        return this.#weights.tokenAt((rest / sum) * this.#weights.total);
      }
      rest -= sum;
    }
    return null;
  }

  #best({ allowed }: LogitsRow): number {
    return allowed === null ? this.#maxima.best() : this.#maxima.bestAllowed(allowed);
  }

  /** Logits after bias and penalties, and their maxima: the row's own memory where it has none. */
  #score(logits: Float32Array, row: LogitsRow): Float32Array {
    if (!isAdjusted(row)) return logits;
    const scores = this.#scores;
    scores.set(logits);
    for (const [token, bias] of row.parameters.logitBias) {
      if (token < scores.length) scores[token] = (scores[token] ?? 0) + bias;
    }
    penalise(scores, row);
    this.#maxima.read(scores);
    return scores;
  }

  /**
   * Proportional to the probabilities, without what is filtered out; the weight of the best token is 1.
   * @param summed of a row that `drawsFromAll`, where top-p filters
   */
  #weigh(
    scores: Float32Array,
    { parameters, allowed }: LogitsRow,
    best: number,
    summed: KnownBlocks | null = null,
  ): void {
    const [maxima, weights] = [this.#maxima, this.#weights];
    const { temperature, topK, topP, minP } = parameters;
    const scale = { highest: scores[best] ?? 0, temperature };
    /** Blocks with a weight of at least this, which is a little lowered for its rounding. */
    const blocksOf = (weight: number) =>
      maxima.blocksFrom(scale.highest + temperature * (Math.log(weight) - 1e-6));
    const limited = isLimited(parameters, this.vocabulary);
    const inFewBlocks = limited || (topP === 1 && minP > 0);
    const share = allowed === null ? 1 : allowedCount(allowed) / this.vocabulary;
    const few = share <= (inFewBlocks ? 1 / 16 : 1 / 2);
    if (few && allowed !== null) {
      weights.weighFew(scores, scale, allowed);
      if (limited) weights.keepLargest(topK);
    } else if (limited) {
      this.#weighLargest({ scores, allowed }, scale, { count: topK, share });
    } else if (inFewBlocks) {
      weights.weighBlocks({ scores, allowed }, scale, blocksOf(minP));
    } else if (summed !== null) {
      this.#weighNucleus(scores, scale, topP * summed.total);
    } else {
      weights.weighAll({ scores, allowed }, scale);
    }
    let bound = minP;
    if (topP < 1) {
      const total = summed?.total ?? weights.total;
      const kept = topP * total;
      // All weights under this bound together are less than what top-p may drop.
      const negligible = ((1 - topP) * total) / this.vocabulary;
      if (summed === null && !limited && !few) weights.keepBlocks(blocksOf(negligible));
      if (!limited) weights.keepFrom(negligible);
      bound = Math.max(bound, weights.boundOfSum(kept));
    }
    if (bound > 0) weights.keepFrom(bound);
  }

  /** Those from which top-p keeps some: the highest blocks, as soon as what is above all others amounts to enough. */
  #weighNucleus(scores: Float32Array, scale: Scale, enough: number): void {
    const [maxima, weights] = [this.#maxima, this.#weights];
    const masked = { scores, allowed: null };
    const most = this.vocabulary / logitBlockTokens / 4;
    for (let blocks = nucleusBlocks; blocks < most; blocks *= 4) {
      const reached = boundOfLargest(maxima.values(), blocks, "count");
      weights.weighBlocks(masked, scale, maxima.blocksFrom(reached));
      if (weights.sumFrom(weightAbove(reached, scale)) >= enough) return;
    }
    weights.weighAll(masked, scale);
  }

  /** As many blocks as there are tokens have a maximum as high as theirs; of those, not all may be allowed. */
  #weighLargest(
    masked: MaskedScores,
    scale: Scale,
    { count, share }: { count: number; share: number },
  ): void {
    const [maxima, weights] = [this.#maxima, this.#weights];
    // A quarter more are rarely too few.
    const first = masked.allowed === null ? count : Math.ceil((1.25 * count) / share);
    for (let blocks = first; ; blocks *= 4) {
      const values = maxima.values();
      const reached = blocks <= values.length ? boundOfLargest(values, blocks, "count") : -Infinity;
      weights.weighBlocks(masked, scale, maxima.blocksFrom(reached));
      if (masked.allowed === null || reached === -Infinity) break;
      if (weights.countFrom(weightAbove(reached, scale)) >= count) break;
    }
    weights.keepLargest(count);
  }
}

/** Of a score, a little raised for its rounding. */
function weightAbove(score: number, { highest, temperature }: Scale): number {
  return Math.exp((score - highest) / temperature) * (1 + 1e-9);
}

function isLimited({ topK }: SamplingParameters, vocabulary: number): boolean {
  return topK > 0 && topK < vocabulary;
}

/** Whether its tokens are drawn from all of the vocabulary as the model scores them, or from what top-p leaves. */
export function drawsFromAll(parameters: SamplingParameters, vocabulary: number): boolean {
  const { temperature, topP, minP } = parameters;
  if (temperature < temperatureMin || isLimited(parameters, vocabulary)) return false;
  if (topP === 1 && minP > 0) return false;
  const { logitBias, repetitionPenalty, frequencyPenalty, presencePenalty } = parameters;
  const penalty = repetitionPenalty !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0;
  return logitBias.size === 0 && !penalty;
}

/** Null where they are not all finite: the logits say what is wrong. */
function knownBlocks(blocks: LogitBlocks | null): KnownBlocks | null {
  if (blocks === null) return null;
  const total = blocks.sums.reduce((sum, each) => sum + each, 0);
  return Number.isFinite(total) ? { ...blocks, total } : null;
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

function unusable(highest: number): UnusableRow | null {
  if (Number.isNaN(highest)) return "a logit is NaN";
  if (highest === Infinity) return "a logit is +Infinity";
  return highest === -Infinity ? "every logit is -Infinity" : null;
}
