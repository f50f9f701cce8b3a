/**
 * The worker's composition root: reads the configuration, opens what the rooms need, starts consuming, and ends in
 * order on SIGTERM, SIGINT or when the launcher that started it is gone. Says `listening` and `ready` to the launcher.
 */
import { hostname } from "node:os";
import process from "node:process";
import { catalogue } from "#contract/catalogue.ts";
import { CodedError } from "#contract/errors.ts";
import type { Catalog } from "./catalog/catalog.ts";
import { openCatalog } from "./catalog/open-catalog.ts";
import { runWorkerCommand } from "./cli/worker.ts";
import { FormError } from "./compute-form/form-choice.ts";
import { ConfigError, type WorkerConfig, readConfig } from "./config.ts";
import { collectGarbage } from "./event-loop/collect-garbage.ts";
import { whenAborted } from "./event-loop/when-aborted.ts";
import { deviceProbe } from "./graphs/device-probe.ts";
import { pause } from "./jobs/backoff.ts";
import type { PlanTuning } from "./jobs/computation-executor.ts";
import { openEdgeClient } from "./jobs/edge-client.ts";
import { openObjectStore } from "./jobs/object-store.ts";
import { type JobQueue, openSqsQueue } from "./jobs/sqs-queue.ts";
import { cpuBatchPolicy, deviceBatchPolicy } from "./jobs/task-runner.ts";
import { Worker } from "./jobs/worker.ts";
import { returnMemory } from "./runtime/c-api/return-memory.ts";
import { isCudaFault, isDeviceFault, watchDevice } from "./runtime/device-faults.ts";
import { DeviceError } from "./runtime/open-device.ts";
import { openRuntime } from "./runtime/open-runtime.ts";
import { returnRunMemory } from "./runtime/return-run-memory.ts";
import { testDevice } from "./runtime/self-test.ts";
import type { Runtime } from "./runtime/session.ts";
import { startHealthServer } from "./telemetry/health-server.ts";
import { type Log, createLog } from "./telemetry/log.ts";
import { createMetrics } from "./telemetry/metrics.ts";

/** Without the launcher the edge is gone too, so that no result could be delivered. */
const orphanGraceMs = 1_000;
const modelRetryMs = 10_000;
const defaultModel = catalogue[0]?.id ?? "";

type Shutdown = {
  readonly begun: AbortSignal;
  readonly deadline: AbortSignal;
  /** Begins and ends it at once, handing back what is held, with exit code 1. */
  fail(reason: string): void;
};

function notifyLauncher(message: object): void {
  process.send?.(message);
}

/** Sends the launcher the list of models whenever it changes: it waits until the edge lists the same. */
function notifyModels(catalog: Catalog): void {
  let last = "";
  const notify = () => {
    const models = catalog.states().map(({ id, status, tasks }) => ({ id, status, tasks }));
    const text = JSON.stringify(models);
    if (text === last) return;
    last = text;
    notifyLauncher({ type: "models", models });
  };
  catalog.onChange(notify);
  notify();
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

/** Shutdown begins at the first signal; its deadline comes with time, with a second signal, or without the launcher. */
function watchForShutdown(log: Log, drainMs: number): Shutdown {
  const begun = new AbortController();
  const deadline = new AbortController();
  const end = (reason: string, afterMs: number) => {
    log.info({ reason, afterMs }, "ending");
    if (begun.signal.aborted) deadline.abort();
    begun.abort(new Error(`ending: ${reason}`));
    setTimeout(() => deadline.abort(), afterMs).unref();
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => end(signal, drainMs));
  }
  process.once("disconnect", () => end("the launcher is gone", orphanGraceMs));
  const fail = (reason: string) => {
    process.exitCode = 1;
    end(reason, 0);
  };
  return { begun: begun.signal, deadline: deadline.signal, fail };
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
      await pause(modelRetryMs, signal);
    }
  }
}

/** After the start, which is not to be slowed down; later tries further apart. */
const prefetchWaitsMs = [5_000, 60_000, 600_000];
const prefetchLaterMs = 3_600_000;

/** Fetches a model that most will ask for, where it is not here; without a network it is waited for in silence. */
async function prefetch(catalog: Catalog, model: string, log: Log, signal: AbortSignal) {
  for (let tries = 0; !signal.aborted; tries += 1) {
    await pause(prefetchWaitsMs[tries] ?? prefetchLaterMs, signal);
    if (signal.aborted) return;
    try {
      return await catalog.prefetch(model, signal);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!signal.aborted) log.info({ model, reason }, "a model could not be fetched in advance");
      if (!isPassing(error)) return;
    }
  }
}

function isPassing(error: unknown): boolean {
  return error instanceof CodedError && error.code === "model_unavailable";
}

function unreadyReasons(
  catalog: Catalog | null,
  worker: Worker | null,
  shutdown: Shutdown,
): string[] {
  if (catalog === null || worker === null) return ["starting"];
  const state = catalog.states().find(({ id }) => id === defaultModel);
  return [
    ...(shutdown.begun.aborted ? ["ending"] : []),
    ...(worker.queueReachable ? [] : ["the queue does not answer"]),
    ...(state?.loaded === true ? [] : [`${defaultModel}: ${state?.reason ?? "not loaded yet"}`]),
  ];
}

/** @throws DeviceError where LLM_OS_DEVICE asks for a device that cannot be used */
async function openWatchedRuntime(
  { models }: WorkerConfig,
  log: Log,
  onBroken: (reason: string) => void,
): Promise<Runtime> {
  const { poolThreads, device, threads, cudaFolder: folder } = models;
  const using = { log, poolThreads, ...(threads !== null && { threads }) };
  if (device === "cpu") return openRuntime(using);
  const required = device === "cuda";
  const wanted = { required, folder, probe: deviceProbe };
  const runtime = await openRuntime({ ...using, device: wanted });
  const retest = async () => testDevice(runtime, await deviceProbe());
  return watchDevice(runtime, { isFault: isCudaFault, retest, onBroken, log });
}

/** Ends the process where a setting asks for what this machine does not have. */
function exitUnsupported(error: unknown): never {
  const words =
    error instanceof DeviceError
      ? `LLM_OS_DEVICE is cuda, and CUDA cannot be used: ${error.message}. ` +
        "Mend that, or set LLM_OS_DEVICE to auto or cpu."
      : error instanceof FormError && `${error.message}.`;
  if (words === false) throw error;
  process.stderr.write(`The worker cannot start:\n  ${words}\n`);
  process.exit(1);
}

/** Loaded when it is first asked for: it is all that trains. */
function openPlanning({ models: settings }: WorkerConfig, runtime: Runtime): PlanTuning {
  return async (...asked) => {
    const { openPlanner } = await import("./tuning-jobs/plan-tuning.ts");
    return await openPlanner({ settings, runtime, now: () => performance.now() })(...asked);
  };
}

/** Short polls: no caller waits for these messages, and shutdown must not wait for a long poll. */
function openDeadLetters({ queue }: WorkerConfig): JobQueue | null {
  if (queue.deadLetterUrl === null) return null;
  return openSqsQueue({ ...queue, url: queue.deadLetterUrl, waitSeconds: 1 });
}

async function releaseMemory(runtime: Runtime, log: Log): Promise<void> {
  try {
    await collectGarbage();
    await returnRunMemory(runtime);
  } catch (error) {
    log.warn({ error }, "memory that is not used could not be given back");
  }
}

async function main(): Promise<void> {
  const config = readConfigOrExit();
  const log = createLog({ level: config.logLevel, worker: config.workerId });
  const shutdown = watchForShutdown(log, config.drainSeconds * 1_000);
  const metrics = createMetrics();
  let catalog: Catalog | null = null;
  let worker: Worker | null = null;
  const health = await startHealthServer({
    ...config.health,
    unready: () => unreadyReasons(catalog, worker, shutdown),
    metrics,
  });
  log.info({ port: health.port }, "health and metrics");
  notifyLauncher({ type: "listening", healthPort: health.port });

  const queue = openSqsQueue(config.queue);
  const deadLetters = openDeadLetters(config);
  const edge = openEdgeClient({
    url: config.edge.url,
    secret: config.edge.callbackSecret,
    wallClock: Date.now,
  });
  const onBroken = (reason: string) => {
    log.fatal({ reason }, "the device is broken: another worker has to take over");
    shutdown.fail("the device is broken");
  };
  const runtime = await openWatchedRuntime(config, log, onBroken).catch(exitUnsupported);
  const objects = openObjectStore(config.objectStore);
  const models = await openCatalog(config.models, {
    runtime,
    log,
    now: Date.now,
    openObject: (reference, signal) => objects.open(reference, signal),
  }).catch(exitUnsupported);
  catalog = models;
  notifyModels(models);
  metrics.watch("modelsLoaded", () => models.states().filter(({ loaded }) => loaded).length);
  worker = new Worker({
    id: config.workerId,
    queue,
    deadLetters,
    edge,
    objects,
    returnMemory,
    onIdle: () => void releaseMemory(runtime, log),
    models,
    planTuning: openPlanning(config, runtime),
    policy: runtime.deviceMemoryBytes === null ? cpuBatchPolicy : deviceBatchPolicy,
    isDeviceFault,
    metrics,
    log,
    clock: { wall: Date.now, steady: () => performance.now() },
    random: Math.random,
  });
  worker.start();
  await loadDefault(models, log, shutdown.begun);
  if (!shutdown.begun.aborted) {
    log.info({ model: defaultModel }, "ready");
    notifyLauncher({ type: "ready" });
  }
  const { prefetch: wanted } = config.models;
  if (wanted !== null) void prefetch(models, wanted, log, shutdown.begun);

  await whenAborted(shutdown.begun);
  await worker.drain(shutdown.deadline);
  queue.close();
  deadLetters?.close();
  await Promise.all([edge.close(), models.close(), health.close()]);
  log.info({}, "ended");
}

const [command] = process.argv.slice(2);
if (command === undefined) await main();
else process.exitCode = await runWorkerCommand(process.argv.slice(2));
// Connections that libraries keep alive must not keep the process.
process.exit();
