/**
 * How much else may be computed between two tokens: a share of what a step of tokens takes on this machine, in seconds,
 * and in tokens of prompts. Both are measured as they run, as exponential averages: they change with the number of
 * texts, their lengths and what else the machine does. One measurement says little, as anything may have had the
 * machine meanwhile: it moves an average by a bounded factor, so that a piece is never much longer than the one before.
 */

/**
 * Of a step's time. With q of it, tokens come 1 + q times as far apart while a prompt is read, and the prompt takes
 * 1 + 1/q times as long as alone.
 */
const quantumShare = 0.45;
/** Weight of the newest measurement. */
const newest = 0.25;
/** Of a step of tokens alone among those that read prompts, which is the only one in a while. */
const newestInWhile = 0.5;
/** Of what a token of a prompt takes, which changes slowly and is the small difference of two steps. */
const newestOfPiece = 1 / 16;
/**
 * By which factor a measurement may differ from what it is averaged with: up, that of a step of as many texts as the
 * one before it; up and down, that of a token of a prompt.
 */
const [stepFactor, pieceFactor] = [1.25, 2];
/** What fewer tokens of a prompt take is less than what steps differ by: little could be learnt from them. */
const pieceTokensLearnt = 4;
/**
 * What is read of a prompt in any case, so that it comes to its end: beside few texts, a step is soon longer by half,
 * as a run with a piece has a cost of its own.
 */
const pieceTokensMin = 3;
/** Before anything is known, a token of a prompt is taken to cost no less than such a part of one that is written. */
const cheapest = 1 / 32;
/** Tried where it is not known what more tokens take. */
const triedTokens = 8;
/** For each step of tokens alone since, what more of them take counts so much less: it is tried again at times. */
const trust = 0.99;
/** So many steps read prompts, then one tells what tokens alone take now. */
const mixedStepsMax = 31;

/** What was computed in a run: tokens of so many texts, one each, and others: of a prompt, or of one of the texts. */
export type RunCost = { texts: number; promptTokens: number; seconds: number };

export class StepCosts {
  readonly #stepTokensMax: number;
  #decodeSeconds: number | null = null;
  /** In the last step of tokens alone. */
  #texts = 0;
  #secondsPerToken: number | null = null;
  /** Pieces that were measured beside tokens. */
  #pieces = 0;
  #mixedSteps = 0;
  /** Since more than tokens was in one. */
  #plainSteps = 0;

  constructor(stepTokensMax: number) {
    this.#stepTokensMax = stepTokensMax;
  }

  ran({ texts, promptTokens, seconds }: RunCost): void {
    if (promptTokens === 0) this.#decoded(seconds, texts);
    else if (texts > 0) this.#readBeside({ texts, promptTokens, seconds });
    else if (this.#pieces === 0) {
      this.#secondsPerToken = average(this.#secondsPerToken, seconds / promptTokens, newest);
    }
  }

  #decoded(seconds: number, texts: number): void {
    const weight = this.#mixedSteps > 0 ? newestInWhile : newest;
    const before = this.#decodeSeconds;
    // Nothing makes a step shorter than it is.
    const now =
      texts === this.#texts ? Math.min(seconds, stepFactor * (before || Infinity)) : seconds;
    this.#decodeSeconds = average(before, now, weight);
    this.#texts = texts;
    this.#mixedSteps = 0;
    this.#plainSteps += 1;
  }

  /** A token of a prompt takes no longer than one that is written: that one has a share of the weights, and logits. */
  #readBeside({ texts, promptTokens, seconds }: RunCost): void {
    // The tokens alone would not have taken longer.
    const before = this.#decodeSeconds;
    const alone = Math.min(before ?? seconds, average(before, seconds, newest));
    this.#decodeSeconds = alone;
    this.#mixedSteps += 1;
    this.#plainSteps = 0;
    // It says that they take less than was thought, and nothing of the piece.
    if (before !== null && seconds < before) return;
    const [known, most] = [this.#secondsPerToken, alone / texts];
    const least = known === null ? cheapest * most : 0;
    const each = Math.min(most, Math.max(least, (seconds - alone) / promptTokens));
    // The first ones count more: what is known until then is of prompts that were read alone.
    const share = Math.max(newestOfPiece, 1 / (this.#pieces + 2));
    const weight = share * Math.min(1, promptTokens / pieceTokensLearnt);
    this.#secondsPerToken = average(known, clipped(each, known, pieceFactor), weight);
    this.#pieces += 1;
  }

  /** Of others, between two steps. */
  get quantumSeconds(): number {
    return quantumShare * (this.#decodeSeconds ?? 0);
  }

  /**
   * How many tokens are worth computing in a step of so many texts beside their own, where the first of them counts
   * with this chance, and each other if the one before it does: as many as make more tokens of a second than the step
   * does without them. A few are tried where it is not known what they take, once it is what the step takes.
   */
  worthwhile(texts: number, chance: number): number {
    if (this.#mixedSteps >= mixedStepsMax) return 0;
    if (this.#decodeSeconds === null) return chance < 1 ? 0 : Infinity;
    if (this.#secondsPerToken === null) return triedTokens;
    const measured = (this.#secondsPerToken * texts) / this.#decodeSeconds;
    const price = measured * trust ** this.#plainSteps;
    if (price >= chance) return 0;
    return chance >= 1 ? Infinity : Math.floor(Math.log(price) / Math.log(chance));
  }

  /** Of prompts, in so many seconds. */
  tokensIn(seconds: number): number {
    if (seconds === Infinity) return this.#stepTokensMax;
    if (this.#mixedSteps >= mixedStepsMax) return 0;
    const tokens = Math.floor(seconds / (this.#secondsPerToken ?? Infinity));
    return Math.min(this.#stepTokensMax, Math.max(pieceTokensMin, tokens));
  }
}

function average(before: number | null, now: number, weight: number): number {
  return before === null ? now : before + weight * (now - before);
}

function clipped(seconds: number, known: number | null, factor: number): number {
  if (known === null || known === 0) return seconds;
  return Math.min(Math.max(seconds, known / factor), known * factor);
}
