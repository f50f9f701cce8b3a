/**
 * The worker's composition root: reads the configuration, opens what the rooms need, starts consuming, and ends in order
 * on SIGTERM, SIGINT or when the launcher that started it is gone. Says `listening` and `ready` to the launcher.
 */
import { hostname } from "node:os";
import process from "node:process";
import { setTimeout as wait } from "node:timers/promises";
import { catalogue } from "#contract/catalogue.ts";
import { type Catalog, openCatalog } from "./catalog/catalog.ts";
import { ConfigError, type WorkerConfig, readConfig } from "./config.ts";
import { openEdgeClient } from "./jobs/edge-client.ts";
import { openObjectStore } from "./jobs/object-store.ts";
import { openSqsQueue } from "./jobs/sqs-queue.ts";
import { cpuBatchPolicy } from "./jobs/task-runner.ts";
import { Worker } from "./jobs/worker.ts";
import { returnMemory } from "./runtime/c-api/return-memory.ts";
import { openRuntime } from "./runtime/open-runtime.ts";
import { startHealthServer } from "./telemetry/health-server.ts";
import { type Log, createLog } from "./telemetry/log.ts";
import { createMetrics } from "./telemetry/metrics.ts";

/**
 * How long work in flight may take to finish, with time left to hand back: ECS gives 30 s from the signal to the kill, the
 * launcher 4 s.
 */
const graceMs = process.connected ? 2_000 : 10_000;
/** Without the launcher the edge is gone too, and nothing finished could be delivered. */
const graceAloneMs = 1_000;
const modelRetryMs = 10_000;
const defaultModel = catalogue[0]?.id ?? "";

type Ending = { readonly begun: AbortSignal; readonly deadline: AbortSignal };

function tellLauncher(message: object): void {
  process.send?.(message);
}

function readConfigOrExit(): WorkerConfig {
  try {
    return readConfig(process.env, `${hostname()}-${process.pid}`);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

/** The end begins at the first signal; its deadline comes with time, with a second signal, or without the launcher. */
function watchForEnd(log: Log): Ending {
  const begun = new AbortController();
  const deadline = new AbortController();
  const end = (reason: string, afterMs: number) => {
    log.info({ reason, afterMs }, "ending");
    if (begun.signal.aborted) deadline.abort();
    begun.abort(new Error(`ending: ${reason}`));
    setTimeout(() => deadline.abort(), afterMs).unref();
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => end(signal, graceMs));
  }
  process.once("disconnect", () => end("the launcher is gone", graceAloneMs));
  return { begun: begun.signal, deadline: deadline.signal };
}

/** Loads the model that most callers ask for, and tries again until it is there. */
async function loadDefault(catalog: Catalog, log: Log, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      await catalog.acquire(defaultModel, signal);
      return;
    } catch (error) {
      if (signal.aborted) return;
      log.error({ error, model: defaultModel }, "the default model is not ready; trying again");
      await wait(modelRetryMs, undefined, { signal }).catch(() => {});
    }
  }
}

function unreadyReasons(catalog: Catalog | null, worker: Worker | null, ending: Ending): string[] {
  if (catalog === null || worker === null) return ["starting"];
  const state = catalog.states().find(({ id }) => id === defaultModel);
  return [
    ...(ending.begun.aborted ? ["ending"] : []),
    ...(worker.queueReachable ? [] : ["the queue does not answer"]),
    ...(state?.loaded === true ? [] : [`${defaultModel}: ${state?.reason ?? "not loaded yet"}`]),
  ];
}

async function openModels(config: WorkerConfig, log: Log): Promise<Catalog> {
  const { poolThreads, ...settings } = config.models;
  const runtime = await openRuntime({ log, device: settings.device, poolThreads });
  return openCatalog(settings, { runtime, log, now: Date.now });
}

async function main(): Promise<void> {
  const config = readConfigOrExit();
  const log = createLog({ level: config.logLevel, worker: config.workerId });
  const ending = watchForEnd(log);
  const metrics = createMetrics();
  let catalog: Catalog | null = null;
  let worker: Worker | null = null;
  const health = await startHealthServer({
    ...config.health,
    unready: () => unreadyReasons(catalog, worker, ending),
    metrics,
  });
  log.info({ port: health.port }, "health and metrics");
  tellLauncher({ type: "listening", healthPort: health.port });

  const queue = openSqsQueue(config.queue);
  const edge = openEdgeClient({
    url: config.edge.url,
    secret: config.edge.callbackSecret,
    wallClock: Date.now,
  });
  const models = await openModels(config, log);
  catalog = models;
  metrics.watch("modelsLoaded", () => models.states().filter(({ loaded }) => loaded).length);
  worker = new Worker({
    id: config.workerId,
    queue,
    edge,
    objects: openObjectStore(config.objectStore),
    returnMemory,
    models,
    policy: cpuBatchPolicy,
    metrics,
    log,
    clock: { wall: Date.now, steady: () => performance.now() },
    random: Math.random,
  });
  worker.start();
  await loadDefault(models, log, ending.begun);
  if (!ending.begun.aborted) {
    log.info({ model: defaultModel }, "ready");
    tellLauncher({ type: "ready" });
  }

  await aborted(ending.begun);
  await worker.drain(ending.deadline);
  queue.close();
  await Promise.all([edge.close(), models.close(), health.close()]);
  log.info({}, "ended");
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

await main();
// Connections kept alive by libraries must not keep the process.
process.exit(0);
