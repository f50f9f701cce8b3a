/**
 * Whether the threads of what may take long yield to all others. They do, so that tokens come as fast beside a grammar
 * that takes seconds; but where others have the whole machine all the time, one that yields would never come to its
 * end: for a while after that has happened, none does.
 */
import { readFileSync } from "node:fs";

/** Of the time by the clock, which a request may take ten times its own of (see `patience` of grammar-thread.ts). */
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

/** What a thread of this process got of a processor since it was last asked. */
export class ThreadShare {
  readonly #file: string;
  #askedAt = performance.now();
  #ranMs: number;

  /** @param thread its number in the system, of a thread that runs */
  constructor(thread: number) {
    this.#file = `/proc/self/task/${thread}/schedstat`;
    this.#ranMs = this.#read();
  }

  isStarved(): boolean {
    const [askedAt, ranMs] = [this.#askedAt, this.#ranMs];
    this.#askedAt = performance.now();
    this.#ranMs = this.#read();
    return this.#ranMs - ranMs < shareMin * (this.#askedAt - askedAt);
  }

  /** Linux's Documentation/scheduler/sched-stats.rst: nanoseconds on a processor come first. */
  #read(): number {
    try {
      return Number(readFileSync(this.#file, "utf8").split(" ")[0]) / 1e6;
    } catch {
      // It has ended, or the kernel keeps no such account.
      return Infinity;
    }
  }
}
