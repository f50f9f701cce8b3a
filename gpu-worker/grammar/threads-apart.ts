/**
 * Threads in a process of their own, which computes only while no other wants its core. Within the process that serves,
 * they would yield alone: what V8 does for them in threads that it shares, compiling WebAssembly and collecting their
 * garbage, takes as long as they do, and does not yield; nor does their memory, which is mapped and given back under a
 * lock of the whole process. It is started once: Linux copies the page tables of whoever starts a process.
 */
import { type ChildProcess, fork } from "node:child_process";
import { lowerProcess, yieldProcess } from "../runtime/yield-process.ts";
import type { RunningThread, StartThread, ThreadListener } from "./start-thread.ts";
import type { ProcessAnswer, ProcessRequest, ThreadLimits } from "./thread-protocol.ts";
import type { Vocabulary } from "./vocabulary.ts";
import { ranMs } from "./yield-policy.ts";

type Home = {
  readonly listener: ThreadListener;
  readonly cpu: PromiseWithResolvers<number>[];
  /** In the system, of the thread; until it tells, of its process. */
  number: number | undefined;
  held: boolean;
};

let threads = 0;

export class ThreadsApart {
  readonly #child: ChildProcess;
  readonly #homes = new Map<number, Home>();
  readonly #vocabularies = new Set<number>();
  readonly #yields: boolean;
  #ready = false;
  #yielding = false;
  #ended = false;

  /** @param yields to all others; else it only takes less of a core than they do */
  constructor(yields: boolean) {
    this.#yields = yields;
    // It gets nothing of this process's environment.
    this.#child = fork(new URL("threads-process.ts", import.meta.url), {
      env: {},
      execArgv: [],
      serialization: "advanced",
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
    this.#child.on("message", (answer: ProcessAnswer) => this.#take(answer));
    this.#child.on("error", () => this.end());
    this.#child.on("exit", () => this.#gone());
    this.#child.unref();
    this.#child.channel?.unref();
  }

  get ended(): boolean {
    return this.#ended;
  }

  readonly start: StartThread = (limits: ThreadLimits, listener: ThreadListener): RunningThread => {
    const thread = (threads += 1);
    const home: Home = { listener, cpu: [], number: this.#child.pid, held: false };
    this.#homes.set(thread, home);
    this.#send({ thread, kind: "start", limits });
    this.#tellShare(home);
    return {
      ask: (request) => {
        if (request.kind === "vocabulary") this.#learn(thread, request.vocabulary);
        else this.#send({ thread, kind: "ask", request });
      },
      hold: (holds) => {
        home.held = holds;
        this.#hold();
      },
      cpuMs: () => this.#cpuMs(thread, home),
      ready: () => this.#makeWay(),
      end: () => {
        this.#homes.delete(thread);
        this.#hold();
        this.#send({ thread, kind: "end" });
      },
    };
  };

  /** Its process is asked where the system does not tell. */
  #cpuMs(thread: number, home: Home): Promise<number> {
    const told = ranMs(this.#schedstat(home));
    if (told !== null) return Promise.resolve(told);
    const asked = Promise.withResolvers<number>();
    home.cpu.push(asked);
    this.#send({ thread, kind: "cpu" });
    return asked.promise;
  }

  #schedstat({ number }: Home): string {
    return `/proc/${this.#child.pid}/task/${number}/schedstat`;
  }

  /** Once its first thread has all that it needs: a caller waits for that. */
  #makeWay(): void {
    const { pid } = this.#child;
    if (this.#ready || this.#ended || pid === undefined) return;
    this.#ready = true;
    if (!this.#yields) return lowerProcess(pid);
    this.#yielding = yieldProcess(pid);
    for (const home of this.#homes.values()) this.#tellShare(home);
  }

  end(): void {
    if (this.#ended) return;
    this.#child.kill("SIGKILL");
    this.#gone();
  }

  #gone(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const { listener } of this.#homes.values()) listener.ended();
    this.#homes.clear();
    this.#hold();
  }

  #learn(thread: number, vocabulary: Vocabulary): void {
    const { id } = vocabulary;
    const known = this.#vocabularies.has(id);
    this.#vocabularies.add(id);
    this.#send({ thread, kind: "learn", id, vocabulary: known ? null : copied(vocabulary) });
  }

  #take(answer: ProcessAnswer): void {
    const home = this.#homes.get(answer.thread);
    if (home === undefined) return;
    const { listener, cpu } = home;
    if (answer.kind === "said") listener.said(answer.answer);
    else if (answer.kind === "cpu") cpu.shift()?.resolve(answer.milliseconds);
    else if (answer.kind === "runs") {
      home.number = answer.number;
      this.#tellShare(home);
    } else {
      this.#homes.delete(answer.thread);
      this.#hold();
      const { error } = answer;
      listener.ended(error === null ? undefined : Object.assign(new Error(error.message), error));
    }
  }

  #tellShare(home: Home): void {
    if (this.#yielding) home.listener.yields(this.#schedstat(home));
  }

  #send(request: ProcessRequest): void {
    if (this.#child.connected) this.#child.send(request, (error) => error && this.end());
  }

  #hold(): void {
    if ([...this.#homes.values()].some(({ held }) => held)) this.#child.channel?.ref();
    else this.#child.channel?.unref();
  }
}

/** Memory that is shared here is not, there. */
function copied({ id, bytes, starts, endTokens }: Vocabulary): Vocabulary {
  return { id, bytes: bytes.slice(), starts: starts.slice(), endTokens };
}
