/**
 * The composition root of the process that trains: reads the configuration, takes tuning jobs from their queue one at
 * a time, and ends in order on SIGTERM, SIGINT or when the launcher that started it is gone. It is to be small while it
 * waits: what trains is loaded with the first job.
 */
import { hostname } from "node:os";
import process from "node:process";
import { type TrainingConfig, ConfigError, readTrainingConfig } from "./config.ts";
import { openEdgeClient } from "./jobs/edge-client.ts";
import { openSqsQueue } from "./jobs/sqs-queue.ts";
import { createLog } from "./telemetry/log.ts";
import { lowerPriority } from "./tuning-jobs/lower-priority.ts";
import { LeaseNotes } from "./tuning-jobs/lease-notes.ts";
import { readProcessTable } from "./tuning-jobs/process-table.ts";
import { reportLost } from "./tuning-jobs/report-lost.ts";
import { TuningWorker, type TuningWorkerOptions } from "./tuning-jobs/tuning-worker.ts";

/** Without the launcher the edge is gone too, so that nothing could be told. */
const orphanGraceMs = 1_000;

function readConfigOrExit(): TrainingConfig {
  try {
    return readTrainingConfig(process.env, `${hostname()}-${process.pid}`);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

const config = readConfigOrExit();
const log = createLog({ level: config.logLevel, worker: config.workerId });
const ending = new AbortController();
const deadline = new AbortController();

function end(reason: string, afterMs: number): void {
  log.info({ reason, afterMs }, "ending");
  if (ending.signal.aborted) deadline.abort();
  ending.abort(new Error(`ending: ${reason}`));
  setTimeout(() => deadline.abort(), afterMs).unref();
}
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => end(signal, config.drainSeconds * 1_000));
}
process.once("disconnect", () => end("the launcher is gone", orphanGraceMs));

/** What trains, once: the runtime stays for the next job. */
let opened: TuningWorkerOptions["run"] | null = null;

async function openTraining(): Promise<TuningWorkerOptions["run"]> {
  const { openTraining: open } = await import("./tuning-jobs/open-training.ts");
  return (opened ??= await open(config, log));
}

lowerPriority();
const queue = openSqsQueue(config.queue);
const { url, callbackSecret: secret } = config.edge;
const edge = openEdgeClient({ url, secret, wallClock: Date.now });
const backoff = { firstMs: 100, maxMs: 3_000, random: Math.random };
const notes = new LeaseNotes(config.models.stateFolder, readProcessTable(), process.pid);
const worker = new TuningWorker({
  id: config.workerId,
  queue,
  edge,
  run: async (order, lease, done) => {
    // Without it a job that is left by a crash waits until its lease lapses.
    await notes.hold(order).catch((error: unknown) => log.warn({ error }, "a lease is not noted"));
    const run = await openTraining();
    await run(order, lease, done).finally(() => notes.release(order));
  },
  backoff,
  wallClock: Date.now,
  log,
});
log.info({}, "ready");
process.send?.({ type: "ready" });
const lost = { notes, edge, worker: config.workerId, backoff, log };
await Promise.all([reportLost(lost, ending.signal), worker.work(ending.signal, deadline.signal)]);
queue.close();
await edge.close();
log.info({}, "ended");
// Connections that libraries keep alive must not keep the process.
process.exit();
