/**
 * How much else may be computed between two tokens: a share of what a step of tokens takes on this machine, in seconds,
 * and in tokens of prompts. Both are measured as they run, as exponential averages: they change with the number of
 * texts, their lengths and what else the machine does. One measurement says little, as anything may have had the
 * machine meanwhile: it moves an average by a bounded factor, so that a piece is never much longer than the one before.
 *
 * A piece has a cost of its own, however short it is, which is as much as some tokens take. So how long a piece may be
 * is read from a line: it goes through the mean of the pieces that were measured, and rises as prompts that are read by
 * themselves take time. A slope that is wrong is put right by the pieces it leads to, whose mean comes to lie where the
 * time is used up.
 */

/**
 * Of a step's time. With q of it, tokens come 1 + q times as far apart while a prompt is read, and the prompt takes
 * 1 + 1/q times as long as alone, and longer by what a piece costs beside its tokens.
 */
const quantumShare = 0.48;
/** Weight of the newest measurement. */
const newest = 0.25;
/** Of a piece, which is the small difference of two steps. */
const newestOfPiece = 1 / 32;
/**
 * By which factor a measurement may differ from what is averaged with it: up, that of a step of as many texts as the
 * one before it; up and down, that of a piece.
 */
const [stepFactor, pieceFactor] = [1.25, 1.5];
/**
 * What is read of a prompt in any case, so that it comes to its end: beside few texts, a step is soon longer by half,
 * as a run with a piece has a cost of its own.
 */
const pieceTokensMin = 3;
/** Read in any case by themselves: a run reads all weights, however few tokens it is of. */
const readTokensMin = 16;
/** A piece has no more than so many times the tokens of those before it: further off, the line says little. */
const pieceGrowth = 2;
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
  /** Of a prompt that is read while no text is written. */
  #promptTokenSeconds: number | null = null;
  /** Mean of the pieces that were measured beside tokens: their tokens, and what a step takes longer with them. */
  #piece: { tokens: number; seconds: number } | null = null;
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
    else
      this.#promptTokenSeconds = average(this.#promptTokenSeconds, seconds / promptTokens, newest);
  }

  #decoded(seconds: number, texts: number): void {
    const before = this.#decodeSeconds;
    // Nothing makes a step shorter than it is.
    const now =
      texts === this.#texts ? Math.min(seconds, stepFactor * (before || Infinity)) : seconds;
    this.#decodeSeconds = average(before, now, newest);
    this.#texts = texts;
    this.#mixedSteps = 0;
    this.#plainSteps += 1;
  }

  #readBeside({ texts, promptTokens: tokens, seconds }: RunCost): void {
    // The tokens alone would not have taken longer.
    const before = this.#decodeSeconds;
    const alone = Math.min(before ?? seconds, average(before, seconds, newest));
    this.#decodeSeconds = alone;
    this.#mixedSteps += 1;
    this.#plainSteps = 0;
    // It says that they take less than was thought, and nothing of the piece.
    if (before !== null && seconds < before) return;
    const least = (cheapest * tokens * alone) / texts;
    const expected = Math.max(least, this.#secondsOf(tokens) ?? seconds - alone);
    const took = clipped(seconds - alone, expected, pieceFactor);
    this.#pieces += 1;
    const weight = Math.max(newestOfPiece, 1 / this.#pieces);
    this.#piece = {
      tokens: average(this.#piece?.tokens ?? null, tokens, weight),
      seconds: average(this.#piece?.seconds ?? null, took, weight),
    };
  }

  /** That a step takes longer with so many tokens of a prompt; null: not known. */
  #secondsOf(tokens: number): number | null {
    const each = this.#promptTokenSeconds ?? this.#secondsPerToken;
    if (each === null) return null;
    if (this.#piece === null) return tokens * each;
    return this.#piece.seconds + (tokens - this.#piece.tokens) * each;
  }

  /** Of a piece of the usual length, its own cost with it; null: not known. */
  get #secondsPerToken(): number | null {
    if (this.#piece === null) return this.#promptTokenSeconds;
    return this.#piece.seconds / this.#piece.tokens;
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

  /** Of prompts by themselves, in so many seconds. */
  tokensAlone(seconds: number): number {
    const fitting = Math.floor(seconds / (this.#promptTokenSeconds ?? Infinity));
    return Math.min(this.#stepTokensMax, Math.max(readTokensMin, fitting));
  }

  /** Of prompts beside the tokens of a step, in so many seconds. */
  tokensBeside(seconds: number): number {
    if (this.#mixedSteps >= mixedStepsMax) return 0;
    const { tokens, seconds: known } = this.#piece ?? { tokens: 0, seconds: 0 };
    const each = this.#promptTokenSeconds ?? this.#secondsPerToken ?? Infinity;
    const fitting = Math.floor(tokens + (seconds - known) / each);
    const most = this.#piece === null ? this.#stepTokensMax : pieceGrowth * tokens + pieceTokensMin;
    return Math.max(pieceTokensMin, Math.floor(Math.min(this.#stepTokensMax, fitting, most)));
  }
}

function average(before: number | null, now: number, weight: number): number {
  return before === null ? now : before + weight * (now - before);
}

function clipped(seconds: number, known: number, factor: number): number {
  return Math.min(Math.max(seconds, known / factor), known * factor);
}
