/**
 * How much else may be computed between two tokens: a share of what a step of tokens takes on this machine, in seconds,
 * and in tokens of prompts. Both are measured as they run, as exponential averages: they change with the number of
 * texts, their lengths and what else the machine does.
 */

/**
 * Of a step's time. With q of it, tokens come 1 + q times as far apart while a prompt is read, and the prompt takes
 * 1 + 1/q times as long as alone.
 */
const quantumShare = 0.45;
/** Weight of the newest measurement. */
const newest = 0.25;
/** A shorter piece of a prompt takes no less time: the weights are read once in any case. */
const pieceTokensMin = 8;

export class StepCosts {
  readonly #stepTokensMax: number;
  #decodeSeconds: number | null = null;
  #secondsPerToken: number | null = null;

  constructor(stepTokensMax: number) {
    this.#stepTokensMax = stepTokensMax;
  }

  decoded(seconds: number): void {
    this.#decodeSeconds = average(this.#decodeSeconds, seconds);
  }

  /** @param between a piece of a prompt that ran between tokens: pieces of that size are what is asked for */
  prefilled(tokens: number, seconds: number, between: boolean): void {
    if (!between && this.#secondsPerToken !== null) return;
    this.#secondsPerToken = average(this.#secondsPerToken, seconds / tokens);
  }

  /** Of others, between two steps. */
  get quantumSeconds(): number {
    return quantumShare * (this.#decodeSeconds ?? 0);
  }

  /** Of prompts, in so many seconds. */
  tokensIn(seconds: number): number {
    if (seconds === Infinity) return this.#stepTokensMax;
    const tokens = Math.floor(seconds / (this.#secondsPerToken ?? Infinity));
    return Math.min(this.#stepTokensMax, Math.max(pieceTokensMin, tokens));
  }
}

function average(before: number | null, now: number): number {
  return before === null ? now : before + newest * (now - before);
}
