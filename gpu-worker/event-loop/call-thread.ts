/**
 * The far side of in-thread.ts: calls the function that the thread was started for, answers with its result, and ends.
 */
import { parentPort, workerData } from "node:worker_threads";

/** Handed over when the thread starts. */
export type ThreadCall = {
  /** Of the module that exports the function. */
  module: string;
  name: string;
  args: readonly unknown[];
};

const { module, name, args }: ThreadCall = workerData;
const exported: Record<string, (...given: readonly unknown[]) => unknown> = await import(module);
const work = exported[name];
if (work === undefined) throw new Error(`${module} exports no ${name}`);
parentPort?.postMessage(await work(...args), []);
