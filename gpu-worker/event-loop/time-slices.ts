/**
 * Long work on the event loop, in slices of a few milliseconds. A computation asks between its steps whether its slice
 * is over and, where it is, waits for the next one. All such work of the process queues for slices, one in each round
 * of the loop, so that timers and sockets are late by one slice however many requests are worked on.
 */
import { setImmediate as nextRound } from "node:timers/promises";

const sliceMs = 2;

/** Settles when the slice that was asked for last begins. */
let last: Promise<unknown> = Promise.resolve();

export class TimeSlices {
  readonly #signal: AbortSignal | undefined;
  #sinceMs = performance.now();

  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** Whether this slice has been long enough. */
  get over(): boolean {
    return performance.now() - this.#sinceMs >= sliceMs;
  }

  /** Begins a slice without waiting for it: after waiting for something else. */
  begin(): void {
    this.#sinceMs = performance.now();
  }

  /** Waits for the next slice. @throws the signal's reason */
  async next(): Promise<void> {
    const mine = last.then(() => nextRound());
    last = mine;
    await mine;
    this.begin();
    this.#signal?.throwIfAborted();
  }

  /** What `make` gives for each item, in order; one step must be short. @throws the signal's reason */
  async map<T, R>(items: Iterable<T>, make: (item: T, index: number) => R): Promise<R[]> {
    const made: R[] = [];
    for (const item of items) {
      if (this.over) await this.next();
      made.push(make(item, made.length));
    }
    return made;
  }
}
