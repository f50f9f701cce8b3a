/**
 * Whether the threads of what may take long yield to all others. They do, so that tokens come as fast beside a grammar
 * that takes seconds; but where others have the whole machine all the time, one that yields would never come to its
 * end: for a while after that has happened, threads have a share of the cores, a small one.
 */
import { readFileSync } from "node:fs";

/** Of the time by the clock: with less of it, what takes the three seconds that it may would take thirty. */
const shareMin = 0.1;
const pauseMilliseconds = 60_000;

export class YieldPolicy {
  #pausedUntil = -Infinity;

  get yields(): boolean {
    return performance.now() >= this.#pausedUntil;
  }

  pause(): void {
    this.#pausedUntil = performance.now() + pauseMilliseconds;
  }
}

/** What a thread got of a processor since it was last asked. */
export class ThreadShare {
  readonly #file: string;
  #askedAt = performance.now();
  #ranMs: number;

  /** @param file `schedstat` of a thread that runs */
  constructor(file: string) {
    this.#file = file;
    this.#ranMs = this.#read();
  }

  isStarved(): boolean {
    const [askedAt, ranBefore] = [this.#askedAt, this.#ranMs];
    this.#askedAt = performance.now();
    this.#ranMs = this.#read();
    return this.#ranMs - ranBefore < shareMin * (this.#askedAt - askedAt);
  }

  #read(): number {
    return ranMs(this.#file) ?? Infinity;
  }
}

/**
 * Linux's Documentation/scheduler/sched-stats.rst: nanoseconds on a processor come first.
 * @returns milliseconds; null: it has ended, or the system keeps no such account
 */
export function ranMs(schedstat: string): number | null {
  try {
    return Number(readFileSync(schedstat, "utf8").split(" ")[0]) / 1e6;
  } catch {
    return null;
  }
}
