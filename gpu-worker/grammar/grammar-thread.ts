/**
 * A thread that compiles grammars and follows texts, here or apart (threads-apart.ts). Requests are answered in order;
 * one that takes too long, or too much memory, ends the thread and with it all that it had, and is told so by itself:
 * it is at fault, and the others may go on elsewhere.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { RunningThread, StartThread } from "./start-thread.ts";
import type { ThreadAnswer, ThreadLimits, ThreadRequest } from "./thread-protocol.ts";
import type { Vocabulary } from "./vocabulary.ts";
import { ThreadShare } from "./yield-policy.ts";

/** The thread ended before it answered. */
export class ThreadEnded extends Error {
  /** Whether it ended over this request. */
  readonly atFault: boolean;

  constructor(atFault: boolean, cause?: unknown) {
    const message = atFault
      ? "a thread ended over a grammar"
      : "a thread ended over another's grammar";
    super(message, cause === undefined ? undefined : { cause });
    this.atFault = atFault;
  }
}

/** It yields to the others, which had the machine all the time. */
export class ThreadStarved extends ThreadEnded {
  constructor() {
    super(false);
  }
}

/** `tookMs`: of a processor. */
export type TimedAnswer = ThreadAnswer & { readonly tookMs: number };

type Waiting = {
  readonly millisecondsMax: number;
  readonly answer: PromiseWithResolvers<TimedAnswer>;
  /** When it was its turn. */
  beganMs: number;
};

/** Of its start, whose work is none of a request's; and of a vocabulary. */
const startMillisecondsMax = 20_000;
/** Times its time that a request may take by the clock. */
const patience = 30;
/** Of a thread that is asked how long it has run. */
const silentMillisecondsMax = 1_000;
/** How long one that yields is watched before it is said to be starved: others do not always leave the same. */
const watchMilliseconds = 2_000;

export class GrammarThread {
  readonly #thread: RunningThread;
  readonly #waiting: Waiting[] = [];
  readonly #vocabularies = new Set<number>();
  #timer: NodeJS.Timeout | undefined;
  #ended = false;
  #heapBytes = 0;
  /** Of a thread that yields. */
  #share: ThreadShare | null = null;
  #watching: NodeJS.Timeout | undefined;
  #cpuMsBefore = 0;
  #compiles: string | null = null;
  /** Texts that it follows. */
  texts = 0;

  constructor(limits: ThreadLimits, start: StartThread) {
    this.#thread = start(limits, {
      said: (answer) => this.#take(answer),
      ended: (cause) => this.end(cause),
      yields: (schedstat) => this.#yields(schedstat),
    });
    this.#expect(startMillisecondsMax).catch(() => undefined);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Of WebAssembly, as it was last told. */
  get heapBytes(): number {
    return this.#heapBytes;
  }

  /** @throws ThreadEnded */
  async ask(request: ThreadRequest, millisecondsMax: number): Promise<TimedAnswer> {
    if (this.#ended) throw new ThreadEnded(false);
    if (request.kind === "open") this.#compiles = null;
    this.#thread.ask(request);
    return this.#expect(millisecondsMax);
  }

  /** Where in a schema most of what it compiled last comes from; null: it cannot tell. */
  get compiles(): string | null {
    return this.#compiles;
  }

  /** Answered all that was asked. @throws ThreadEnded */
  async idle(): Promise<void> {
    await this.#waiting.at(-1)?.answer.promise;
    if (this.#ended) throw new ThreadEnded(false);
  }

  /** Tells it of a vocabulary, once. */
  learn(vocabulary: Vocabulary): void {
    if (this.#vocabularies.has(vocabulary.id)) return;
    this.#vocabularies.add(vocabulary.id);
    this.ask({ kind: "vocabulary", vocabulary }, startMillisecondsMax)
      .then(() => this.#thread.ready())
      .catch(() => undefined);
  }

  /** @param cause what went wrong in it; absent: it took too much, or is not needed */
  end(cause?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    clearInterval(this.#watching);
    this.#thread.hold(false);
    this.#thread.end();
    for (const [at, { answer }] of this.#waiting.splice(0).entries()) {
      answer.reject(cause instanceof ThreadStarved ? cause : new ThreadEnded(at === 0, cause));
    }
  }

  #expect(millisecondsMax: number): Promise<TimedAnswer> {
    const answer = Promise.withResolvers<TimedAnswer>();
    this.#waiting.push({ millisecondsMax, answer, beganMs: performance.now() });
    if (this.#waiting.length === 1) this.#watch();
    return answer.promise;
  }

  #yields(schedstat: string): void {
    this.#share = new ThreadShare(schedstat);
    if (this.#waiting.length > 0) this.#watchShare();
  }

  /** While there is something to do. */
  #watchShare(): void {
    clearInterval(this.#watching);
    const share = this.#share;
    if (share === null || this.#ended) return;
    share.isStarved();
    this.#watching = setInterval(() => {
      if (share.isStarved()) this.end(new ThreadStarved());
    }, watchMilliseconds);
    this.#watching.unref();
  }

  #take(answer: ThreadAnswer): void {
    if (answer.kind === "compiles") {
      this.#compiles = answer.path;
      return;
    }
    const first = this.#waiting.shift();
    const tookMs = answer.cpuMs - this.#cpuMsBefore;
    this.#cpuMsBefore = answer.cpuMs;
    if (answer.kind === "next") this.#heapBytes = answer.heapBytes;
    this.#watch();
    first?.answer.resolve({ ...answer, tookMs });
  }

  /** The time of the request that is next. */
  #watch(): void {
    clearTimeout(this.#timer);
    const [first] = this.#waiting;
    if (first === undefined) {
      clearInterval(this.#watching);
      this.#thread.hold(false);
      return;
    }
    this.#watchShare();
    first.beganMs = performance.now();
    this.#thread.hold(true);
    this.#wake(first, first.millisecondsMax);
  }

  #wake(watched: Waiting, milliseconds: number): void {
    this.#timer = setTimeout(() => void this.#judge(watched), milliseconds);
  }

  /** A thread that has not had its time yet, because others had the machine, is given it. */
  async #judge(watched: Waiting): Promise<void> {
    const { millisecondsMax } = watched;
    const usedMs = await Promise.race([
      // It may end meanwhile, which its own event tells.
      this.#thread.cpuMs().catch(() => Infinity),
      pause(silentMillisecondsMax, Infinity, { ref: false }),
    ]);
    if (this.#ended || this.#waiting[0] !== watched) return;
    // Silent, because others have the machine.
    if (usedMs === Infinity && this.#share !== null) return this.end(new ThreadStarved());
    const leftMs = millisecondsMax - (usedMs - this.#cpuMsBefore);
    if (leftMs > 0 && performance.now() - watched.beganMs < patience * millisecondsMax)
      this.#wake(watched, leftMs + 1);
    else this.end();
  }
}
