/**
 * A count in windows of a minute, each opened by the first that is counted in it. Memory only; the time is an argument.
 */
const windowMs = 60_000;

export class Tally {
  #startMs = 0;
  #count = 0;

  /** @returns for how long the count stays at or over its limit, ms; 0: it is below */
  add(count: number, limit: number, nowMs: number): number {
    if (nowMs >= this.#startMs + windowMs) {
      this.#startMs = nowMs;
      this.#count = 0;
    }
    this.#count += count;
    return this.#count >= limit ? this.#startMs + windowMs - nowMs : 0;
  }
}
