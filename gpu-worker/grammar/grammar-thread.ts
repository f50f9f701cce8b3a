/**
 * A thread that compiles grammars and follows texts. Requests are answered in order; one that takes too long, or too
 * much memory, ends the thread and with it all that it had, and is told so by itself: it is at fault, and the others
 * may go on elsewhere.
 */
import { setTimeout as pause } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { keepWasmCode } from "../event-loop/keep-wasm-code.ts";
import type { ThreadAnswer, ThreadYields, ThreadLimits, ThreadRequest } from "./thread-protocol.ts";
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

type Waiting = {
  readonly millisecondsMax: number;
  readonly answer: PromiseWithResolvers<ThreadAnswer>;
  /** When it was its turn. */
  beganMs: number;
};

/** Of its start, whose work is none of a request's; and of a vocabulary. */
const startMillisecondsMax = 20_000;
const heapMiB = 256;
/** Times its time that a request may take by the clock. */
const patience = 10;
/** Of a thread that is asked how long it has run. */
const silentMillisecondsMax = 1_000;
/** How long one that yields is watched before it is said to be starved. */
const watchMilliseconds = 500;

export class GrammarThread {
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  readonly #vocabularies = new Set<number>();
  #timer: NodeJS.Timeout | undefined;
  #ended = false;
  #heapBytes = 0;
  /** Of a thread that yields. */
  #share: ThreadShare | null = null;
  #watching: NodeJS.Timeout | undefined;
  #cpuMsBefore = 0;
  /** Texts that it follows. */
  texts = 0;

  constructor(limits: ThreadLimits) {
    keepWasmCode();
    this.#worker = new Worker(new URL("thread-start.ts", import.meta.url), {
      workerData: limits,
      execArgv: [],
      // XGrammar writes what is wrong of a grammar there.
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: heapMiB, stackSizeMb: 8 },
    });
    this.#worker.stdout.resume();
    this.#worker.stderr.resume();
    this.#worker.on("message", (said: ThreadAnswer | ThreadYields) => {
      if (said.kind === "yields") this.#yields(said);
      else this.#take(said);
    });
    this.#worker.on("error", (error) => this.end(error));
    this.#worker.on("exit", () => this.end());
    this.#worker.unref();
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
  async ask(request: ThreadRequest, millisecondsMax: number): Promise<ThreadAnswer> {
    if (this.#ended) throw new ThreadEnded(false);
    this.#worker.postMessage(request, []);
    return this.#expect(millisecondsMax);
  }

  /** Milliseconds of a processor that it had when it answered last. */
  get cpuMs(): number {
    return this.#cpuMsBefore;
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
    this.ask({ kind: "vocabulary", vocabulary }, startMillisecondsMax).catch(() => undefined);
  }

  /** @param cause what went wrong in it; absent: it took too much, or is not needed */
  end(cause?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    clearInterval(this.#watching);
    void this.#worker.terminate();
    for (const [at, { answer }] of this.#waiting.splice(0).entries()) {
      answer.reject(cause instanceof ThreadStarved ? cause : new ThreadEnded(at === 0, cause));
    }
  }

  #expect(millisecondsMax: number): Promise<ThreadAnswer> {
    const answer = Promise.withResolvers<ThreadAnswer>();
    this.#waiting.push({ millisecondsMax, answer, beganMs: performance.now() });
    if (this.#waiting.length === 1) this.#watch();
    return answer.promise;
  }

  #yields({ thread }: ThreadYields): void {
    this.#share = new ThreadShare(thread);
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
    const first = this.#waiting.shift();
    this.#cpuMsBefore = answer.cpuMs;
    if (answer.kind === "next") this.#heapBytes = answer.heapBytes;
    this.#watch();
    first?.answer.resolve(answer);
  }

  /** The time of the request that is next. */
  #watch(): void {
    clearTimeout(this.#timer);
    const [first] = this.#waiting;
    if (first === undefined) {
      clearInterval(this.#watching);
      this.#worker.unref();
      return;
    }
    this.#watchShare();
    first.beganMs = performance.now();
    this.#worker.ref();
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
      this.#cpuMs().catch(() => Infinity),
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

  async #cpuMs(): Promise<number> {
    const { user, system } = await this.#worker.cpuUsage();
    return (user + system) / 1_000;
  }
}
