/**
 * Work of seconds that would hold up the event loop, and with it the heartbeat of every message: an exported function
 * of a module, called on a thread of its own. What it takes and gives is copied as by `structuredClone`, or handed
 * over.
 */
import { Worker } from "node:worker_threads";
import type { ThreadCall } from "./call-thread.ts";
import { keepWasmCode } from "./keep-wasm-code.ts";
import { orAborted } from "./or-aborted.ts";

type Callable = (...args: never[]) => unknown;

/** To start a thread and load a module there takes a fifth of a second of a processor; to go through these, 10 ms. */
const shortBytes = 2 ** 20;

export type InThreadOptions = {
  signal: AbortSignal;
  /** That the work goes through, in all. Few are no work of seconds: it is done on the calling thread. */
  bytes?: number;
  /** Of the arguments, what is handed over: memory, of which the caller's arrays are empty afterwards, and streams. */
  transfer?: readonly (ArrayBufferLike | ReadableStream)[];
};

/**
 * @param module `import.meta.url` of the module that exports `work` under its own name
 * @throws what `work` throws, from a thread without its class; the signal's reason, once the thread has ended
 */
export async function inThread<F extends Callable>(
  module: string,
  work: F,
  args: Parameters<F>,
  { signal, bytes = Infinity, transfer = [] }: InThreadOptions,
): Promise<Awaited<ReturnType<F>>> {
  signal.throwIfAborted();
  if (bytes <= shortBytes) return (await work(...args)) as Awaited<ReturnType<F>>;
  const handedOver = [...new Set(transfer)].filter(
    (each) => each instanceof ArrayBuffer || each instanceof ReadableStream,
  );
  keepWasmCode();
  const worker = new Worker(new URL("call-thread.ts", import.meta.url), {
    workerData: { module, name: work.name, args } satisfies ThreadCall,
    transferList: handedOver,
    execArgv: [],
  });
  const answer = Promise.withResolvers<Awaited<ReturnType<F>>>();
  worker.on("message", answer.resolve);
  worker.on("error", answer.reject);
  worker.on("exit", () => answer.reject(new Error(`the thread of ${work.name} ended early`)));
  try {
    return await orAborted(answer.promise, signal);
  } finally {
    await worker.terminate();
  }
}
