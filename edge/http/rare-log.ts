/** A line in the log for something that may happen a thousand times over: the first, then at most one a minute. */
const quietMs = 60_000;

export class RareLog {
  readonly #event: string;
  #quietUntil = 0;
  #untold = 0;

  /** @param event its name in the log */
  constructor(event: string) {
    this.#event = event;
  }

  /** @param now ms since the epoch */
  note(reason: string, now: number): void {
    this.#untold += 1;
    if (now < this.#quietUntil) return;
    console.error(JSON.stringify({ event: this.#event, count: this.#untold, reason }));
    this.#untold = 0;
    this.#quietUntil = now + quietMs;
  }
}
