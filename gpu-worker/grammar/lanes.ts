/**
 * The threads that follow texts. One here, beside the runs, for grammars that take next to nothing, or that have been
 * asked for so often that compiling them here is soon worth it; one apart, which yields to all that computes, for those
 * that are new; and one for those that are slow, so that what is slow waits for what is slow. A thread that has grown
 * large takes no more texts, and ends with its last.
 */
import { GrammarThread } from "./grammar-thread.ts";
import { startThreadHere } from "./start-thread.ts";
import type { StartThread } from "./start-thread.ts";

export type Pace = "quick" | "new" | "slow";

/** Of WebAssembly: what a thread may grow to, and what it takes more texts up to. */
const bytesMax = 512 * 2 ** 20;
const bytesFull = 192 * 2 ** 20;
const grammarsMax = 32;
/** Threads at once, of which those that are full end first. */
const threadsMax = 5;

export class Lanes {
  readonly #current = new Map<Pace, GrammarThread>();
  readonly #full: GrammarThread[] = [];
  readonly #startApart: StartThread;

  constructor(startApart: StartThread) {
    this.#startApart = startApart;
  }

  /** Where a text can be followed from now on. */
  threadFor(pace: Pace): GrammarThread {
    const current = this.#current.get(pace);
    if (current !== undefined && !current.ended && current.heapBytes < bytesFull) return current;
    if (current !== undefined && !current.ended) this.#full.push(current);
    const start = pace === "quick" ? startThreadHere : this.#startApart;
    const thread = new GrammarThread({ bytesMax, grammarsMax }, start);
    this.#current.set(pace, thread);
    this.release();
    return thread;
  }

  /** Ends threads that nothing needs any more, and of those that are full the oldest where there are too many. */
  release(): void {
    for (const thread of this.#full) if (thread.texts <= 0) thread.end();
    const live = this.#full.filter(({ ended }) => !ended);
    for (const thread of live.splice(0, live.length - (threadsMax - this.#current.size)))
      thread.end();
    this.#full.splice(0, this.#full.length, ...live);
  }

  end(): void {
    for (const thread of [...this.#current.values(), ...this.#full]) thread.end();
    this.#current.clear();
    this.#full.length = 0;
  }
}
