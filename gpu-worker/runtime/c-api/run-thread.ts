/**
 * Runs of a session on one thread. ONNX Runtime keeps what it captured of a session, a CUDA graph, with the thread that
 * ran it, while other sessions run on any thread of libuv's pool.
 */
import { Worker } from "node:worker_threads";
import { RuntimeError } from "../session.ts";
import type { Pointer } from "./native-function.ts";

/** Addresses; the arrays are copied, but for what they point at, which the caller keeps. */
export type NativeRun = {
  readonly session: Pointer;
  readonly options: Pointer;
  readonly inputNames: BigUint64Array;
  readonly inputs: BigUint64Array;
  readonly outputNames: BigUint64Array;
  /** Those that are 0 are made, and put in their place. */
  readonly outputs: BigUint64Array;
};

export type RunAnswer = { readonly outputs: BigUint64Array } | { readonly error: string };

export class RunThread {
  readonly #worker: Worker;
  #answer: PromiseWithResolvers<RunAnswer> | null = null;

  constructor(libraryFile: string) {
    this.#worker = new Worker(new URL("run-on-thread.ts", import.meta.url), {
      workerData: libraryFile,
      execArgv: [],
    });
    this.#worker.on("message", (answer: RunAnswer) => this.#answer?.resolve(answer));
    this.#worker.on("error", (error) => this.#answer?.reject(error));
    this.#worker.on("exit", () => this.#answer?.reject(new RuntimeError("the thread has ended")));
    // What waits for a run keeps the process; the thread does not.
    this.#worker.unref();
  }

  /** One at a time. @throws RuntimeError for what ONNX Runtime refuses */
  async run(run: NativeRun): Promise<void> {
    this.#answer = Promise.withResolvers();
    this.#worker.ref();
    try {
      this.#worker.postMessage(run, []);
      const answer = await this.#answer.promise;
      if ("error" in answer) throw new RuntimeError(answer.error);
      run.outputs.set(answer.outputs);
    } finally {
      this.#worker.unref();
      this.#answer = null;
    }
  }

  async release(): Promise<void> {
    await this.#worker.terminate();
  }
}
