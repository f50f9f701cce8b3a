/** A thread of thread.ts, in this process. Whoever starts it ends it. */
import { Worker } from "node:worker_threads";
import { keepWasmCode } from "../event-loop/keep-wasm-code.ts";
import type { ThreadAnswer, ThreadLimits, ThreadRequest } from "./thread-protocol.ts";

const heapMiB = 256;

/** What thread.ts is given. */
export type StartedThread = ThreadLimits & { readonly apart: boolean };

export type ThreadListener = {
  said(answer: ThreadAnswer): void;
  /** @param cause what went wrong in it, if anything did */
  ended(cause?: Error): void;
  /** @param schedstat where Linux tells its time, see `ThreadShare` */
  yields(schedstat: string): void;
};

/** Wherever it runs. */
export type RunningThread = {
  ask(request: ThreadRequest): void;
  /** This process goes on for its sake, or need not. */
  hold(holds: boolean): void;
  /** Milliseconds of a processor. */
  cpuMs(): Promise<number>;
  /** It has been told of its first vocabulary. */
  ready(): void;
  end(): void;
};

export type StartThread = (limits: ThreadLimits, listener: ThreadListener) => RunningThread;

export const startThreadHere: StartThread = (limits, listener) => {
  const worker = startWorker(limits, false);
  worker.on("message", (answer: ThreadAnswer) => listener.said(answer));
  worker.on("error", (error: Error) => listener.ended(error));
  worker.on("exit", () => listener.ended());
  worker.unref();
  return {
    ask: (request) => worker.postMessage(request, []),
    hold: (holds) => (holds ? worker.ref() : worker.unref()),
    cpuMs: () => cpuMsOf(worker),
    ready: () => undefined,
    end: () => void worker.terminate(),
  };
};

/** @param apart it tells its number, see `ProcessAnswer` */
export function startWorker(limits: ThreadLimits, apart: boolean): Worker {
  keepWasmCode();
  const worker = new Worker(new URL("thread.ts", import.meta.url), {
    workerData: { ...limits, apart } satisfies StartedThread,
    execArgv: [],
    // XGrammar writes what is wrong of a grammar there.
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: heapMiB, stackSizeMb: 8 },
  });
  worker.stdout.resume();
  worker.stderr.resume();
  return worker;
}

export async function cpuMsOf(worker: Worker): Promise<number> {
  const { user, system } = await worker.cpuUsage();
  return (user + system) / 1_000;
}
