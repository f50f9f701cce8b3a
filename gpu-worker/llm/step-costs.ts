/**
 * How much else may be computed between two tokens: a share of what a step of tokens takes on this machine, in seconds,
 * and in tokens of prompts. Both are measured as they run: they change with the number of texts, their lengths and what
 * else the machine does.
 *
 * A piece has a cost of its own, however short it is, which is as much as some tokens take; each of its tokens is taken
 * to cost what one of a prompt does that is read by itself. Where that is wrong, the own cost of pieces of the usual
 * length makes up for it. What a piece takes is told by two steps that follow each other, as over many of them a
 * machine that others use becomes slower or faster by more than a piece takes; beside as many texts as there were, as a
 * share of the one without, for the same reason; and of several pieces the middle one counts, as anything may have had
 * the machine in one of the two steps.
 */

/**
 * Of a step's time. With q of it, tokens come 1 + q times as far apart while a prompt is read, and the prompt takes
 * 1 + 1/q times as long as alone, and longer by what a piece costs beside its tokens.
 */
const quantumShare = 0.49;
/** Weight of the newest measurement. */
const newest = 0.25;
/** By which factor a step may be longer than one of as many texts before it. */
const stepFactor = 1.25;
/** Differences that the middle is taken of. */
const piecesKept = 15;
/**
 * What is read of a prompt in any case, so that it comes to its end: beside few texts, a step is soon longer by half,
 * as a run with a piece has a cost of its own.
 */
const pieceTokensMin = 3;
/** Read in any case by themselves: a run reads all weights, however few tokens it is of. */
const readTokensMin = 16;
/** From so many tokens on, a run that reads a prompt by itself tells what each of them takes. */
const tellingTokens = 32;
/** A piece has no more than so many times the tokens of those before it: what is known of these may not hold for it. */
const pieceGrowth = 2;
/** A token of a prompt costs no less than such a part of one that is written. */
const cheapest = 1 / 32;
/** Tried where it is not known what more tokens take. */
const triedTokens = 8;
/** For each step of tokens alone since, what more of them take counts so much less: it is tried again at times. */
const trust = 0.99;
/** So many steps read prompts, then one tells what tokens alone take now. */
const mixedStepsMax = 15;
/** While fewer pieces are known than that takes: so many more steps for each. */
const mixedStepsPerPiece = 3;

/** A clock need not have moved, and what runs take is divided by what others took. */
const secondsMin = 1e-6;

/** What was computed in a run: tokens of so many texts, one each, and others: of a prompt, or of one of the texts. */
export type RunCost = { texts: number; promptTokens: number; seconds: number };

/** What a step of so many texts took longer with so many tokens of a prompt, beside what it took without. */
type Piece = {
  readonly texts: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly without: number;
};

export class StepCosts {
  readonly #stepTokensMax: number;
  #decodeSeconds: number | null = null;
  /** In the last step of tokens alone. */
  #texts = 0;
  /** Of a prompt that is read while no text is written. */
  #promptTokenSeconds: number | null = null;
  /** That were measured beside tokens, the newest last. */
  #pieces: readonly Piece[] = [];
  #last: RunCost | null = null;
  #mixedSteps = 0;
  /** Since more than tokens was in one. */
  #plainSteps = 0;

  constructor(stepTokensMax: number) {
    this.#stepTokensMax = stepTokensMax;
  }

  ran({ texts, promptTokens, seconds: measured }: RunCost): void {
    const seconds = Math.max(measured, secondsMin);
    const run = { texts, promptTokens, seconds };
    if (promptTokens === 0) this.#decoded(seconds, texts);
    else if (texts > 0) this.#readBeside(seconds);
    else this.#read(seconds, promptTokens);
    if (this.#last !== null) this.#compare(this.#last, run);
    this.#last = run;
  }

  #decoded(seconds: number, texts: number): void {
    const before = this.#decodeSeconds;
    // Nothing makes a step shorter than it is.
    const now =
      texts === this.#texts ? Math.min(seconds, stepFactor * (before ?? Infinity)) : seconds;
    this.#decodeSeconds = average(before, now, newest);
    this.#texts = texts;
    this.#mixedSteps = 0;
    this.#plainSteps += 1;
  }

  #read(seconds: number, tokens: number): void {
    const [before, now] = [this.#promptTokenSeconds, seconds / tokens];
    // Of few tokens a run takes as long as of some more.
    if (before !== null && now > before && tokens < tellingTokens) return;
    this.#promptTokenSeconds = average(before, now, newest);
  }

  #readBeside(seconds: number): void {
    // The tokens alone would not have taken longer.
    const before = this.#decodeSeconds;
    this.#decodeSeconds = Math.min(before ?? seconds, average(before, seconds, newest));
    this.#mixedSteps += 1;
    this.#plainSteps = 0;
  }

  /** Of two runs of as many texts, of which one had a piece: what that took. */
  #compare(last: RunCost, next: RunCost): void {
    const [plain, mixed] = last.promptTokens === 0 ? [last, next] : [next, last];
    const { texts, promptTokens: tokens } = mixed;
    if (plain.promptTokens > 0 || tokens === 0 || texts === 0 || plain.texts !== texts) return;
    const least = (cheapest * tokens * plain.seconds) / texts;
    const seconds = Math.max(least, mixed.seconds - plain.seconds);
    const piece = { texts, tokens, seconds, without: plain.seconds };
    this.#pieces = [...this.#pieces.slice(1 - piecesKept), piece];
  }

  /** Of what a step of tokens takes now. */
  #shareOf({ texts, seconds, without }: Piece): number {
    return seconds / (texts === this.#last?.texts ? without : (this.#decodeSeconds ?? Infinity));
  }

  /** What a piece costs beside its tokens, where each of them costs `each`: nothing, until it is known. */
  #ownShare(each: number): number {
    const own = this.#pieces.map((piece) => this.#shareOf(piece) - piece.tokens * each);
    return middle([0, ...own]) ?? 0;
  }

  /** Of a token of a prompt that is read by itself; null: not known. */
  get #shareAlone(): number | null {
    if (this.#promptTokenSeconds === null || this.#decodeSeconds === null) return null;
    return this.#promptTokenSeconds / this.#decodeSeconds;
  }

  /** Of a token of a piece of the usual length, its own cost with it; null: not known. */
  get #shareBeside(): number | null {
    const each = this.#pieces.map((piece) => this.#shareOf(piece) / piece.tokens);
    return middle(each) ?? this.#shareAlone;
  }

  /** The next step is one of tokens alone. */
  get #tellsAlone(): boolean {
    return (
      this.#mixedSteps >= Math.min(mixedStepsMax, 1 + mixedStepsPerPiece * this.#pieces.length)
    );
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
    if (this.#tellsAlone) return 0;
    if (this.#decodeSeconds === null) return chance < 1 ? 0 : Infinity;
    if (this.#shareBeside === null) return triedTokens;
    const price = this.#shareBeside * texts * trust ** this.#plainSteps;
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
    if (this.#tellsAlone) return 0;
    const each = this.#shareAlone ?? this.#shareBeside ?? Infinity;
    const share = seconds / (this.#decodeSeconds ?? Infinity);
    const fitting = Math.floor((share - this.#ownShare(each)) / each);
    const usual = middle(this.#pieces.map(({ tokens }) => tokens)) ?? Infinity;
    const most = Math.min(this.#stepTokensMax, pieceGrowth * usual + pieceTokensMin);
    return Math.max(pieceTokensMin, Math.min(most, fitting));
  }
}

function average(before: number | null, now: number, weight: number): number {
  return before === null ? now : before + weight * (now - before);
}

/** The lower of two; null: there is none. */
function middle(numbers: readonly number[]): number | null {
  return numbers.toSorted((a, b) => a - b)[(numbers.length - 1) >> 1] ?? null;
}
