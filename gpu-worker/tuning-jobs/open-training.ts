/** What a process needs to train: loaded with its first job, for it is a hundred megabytes. */
import type { TrainingConfig } from "../config.ts";
import { collectGarbage } from "../event-loop/collect-garbage.ts";
import { openFileUploads } from "../jobs/object-upload.ts";
import { openObjectStore } from "../jobs/object-store.ts";
import { openRuntime } from "../runtime/open-runtime.ts";
import { returnRunMemory } from "../runtime/return-run-memory.ts";
import type { Log } from "../telemetry/log.ts";
import { runOrder } from "./run-order.ts";
import { taskProtection } from "./task-protection.ts";
import type { TuningWorkerOptions } from "./tuning-worker.ts";

/** Beside the training: files fetched, a model stored. */
const protectedMinutes = 60;

/** @throws RuntimeError where nothing can be computed here */
export async function openTraining(
  { models, objectStore, saveSeconds, ecsAgentUrl }: TrainingConfig,
  log: Log,
): Promise<TuningWorkerOptions["run"]> {
  const { poolThreads, threads } = models;
  const runtime = await openRuntime({ log, poolThreads, ...(threads !== null && { threads }) });
  const tools = {
    settings: models,
    objects: openObjectStore(objectStore),
    upload: openFileUploads(objectStore),
    runtime,
    saveSeconds,
    clock: { wall: Date.now, steady: () => performance.now() },
    log,
  };
  const protect = taskProtection(ecsAgentUrl, log);
  return async (order, lease, done) => {
    await protect(order.options.maxSeconds / 60 + protectedMinutes);
    try {
      await runOrder(order, lease, tools, done);
    } finally {
      await protect(0);
    }
    await collectGarbage();
    await returnRunMemory(runtime);
  };
}
