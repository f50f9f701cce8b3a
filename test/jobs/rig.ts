/**
 * A queue server, a stand-in edge and workers on them, with messages to send: what the tests of gpu-worker/jobs share.
 */
import { randomBytes } from "node:crypto";
import { type FauxqsServer, startFauxqs } from "fauxqs";
import { type Logger, pino } from "pino";
import { formatJobId } from "../../contract/job-id.ts";
import type { JobMessage } from "../../contract/job-message.ts";
import { queueNumbers } from "../../contract/queue.ts";
import { type AnnouncedModels, Worker, type WorkerOptions } from "../../gpu-worker/jobs/worker.ts";
import { openEdgeClient } from "../../gpu-worker/jobs/edge-client.ts";
import { openObjectStore } from "../../gpu-worker/jobs/object-store.ts";
import { type JobQueue, openSqsQueue } from "../../gpu-worker/jobs/sqs-queue.ts";
import { cpuBatchPolicy } from "../../gpu-worker/jobs/task-runner.ts";
import { createMetrics } from "../../gpu-worker/telemetry/metrics.ts";
import { StandInEdge, secret } from "./stand-in-edge.ts";

export const noModels: AnnouncedModels = {
  lease: (id) => Promise.reject(new Error(`no model ${id} here`)),
  states: () => [],
  onChange: () => {},
};

type RigOptions = { readsDeadLetters?: boolean; log?: Logger } & Pick<WorkerOptions, "openEngine">;

type RunningWorker = { worker: Worker; close(): Promise<void> };

export class Rig {
  readonly edge = new StandInEdge();
  readonly #dataDir: string | undefined;
  readonly #workers: RunningWorker[] = [];
  queueServer: FauxqsServer;

  private constructor(queueServer: FauxqsServer, dataDir: string | undefined) {
    this.queueServer = queueServer;
    this.#dataDir = dataDir;
  }

  static async start(dataDir?: string): Promise<Rig> {
    const rig = new Rig(await startQueueServer(0, dataDir), dataDir);
    await rig.edge.start();
    return rig;
  }

  addWorker(
    models: AnnouncedModels = noModels,
    id = `worker-${this.#workers.length}`,
    { readsDeadLetters = false, log = pino({ level: "silent" }), ...more }: RigOptions = {},
  ): Worker {
    const { port } = this.queueServer;
    const made = makeWorker({
      id,
      edgeUrl: this.edge.url,
      port,
      models,
      readsDeadLetters,
      log,
      ...more,
    });
    this.#workers.push(made);
    made.worker.start();
    return made.worker;
  }

  /** Ends the queue server. @returns what starts it again, on the same port and state */
  async stopQueue(): Promise<() => Promise<void>> {
    const { port } = this.queueServer;
    await this.queueServer.stop();
    return async () => {
      this.queueServer = await startQueueServer(port, this.#dataDir);
    };
  }

  send(message: JobMessage | string): void {
    const body = typeof message === "string" ? message : JSON.stringify(message);
    this.queueServer.sendMessage("jobs", inAscii(body));
  }

  /** As the queue server does with a message past its last receive. */
  sendDead(message: JobMessage | string): void {
    const body = typeof message === "string" ? message : JSON.stringify(message);
    this.queueServer.sendMessage("dead", inAscii(body));
  }

  /** Messages of a queue, by state, now. */
  queued(name: "jobs" | "dead") {
    const messages = this.queueServer.inspectQueue(name)?.messages;
    return { ready: messages?.ready ?? [], inFlight: messages?.inflight ?? [] };
  }

  async stop(): Promise<void> {
    const closing = this.#workers.map((each) => each.close());
    // A worker waits for its open polls: forgetting what is queued answers them at once, and not after a second.
    this.queueServer.reset();
    await Promise.all(closing);
    await this.queueServer.stop();
    await this.edge.stop();
  }
}

/** SQS takes not every character: in JSON, all can be written in ASCII. */
function inAscii(json: string): string {
  return json.replaceAll(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

export async function startQueueServer(port: number, dataDir?: string): Promise<FauxqsServer> {
  return startFauxqs({
    port,
    logger: false,
    host: "127.0.0.1",
    messageSpies: true,
    ...(dataDir === undefined ? {} : { dataDir }),
    init: {
      queues: [
        { name: "dead" },
        {
          name: "jobs",
          attributes: {
            VisibilityTimeout: String(queueNumbers.visibilityTimeoutSeconds),
            RedrivePolicy: JSON.stringify({
              deadLetterTargetArn: "arn:aws:sqs:us-east-1:000000000000:dead",
              maxReceiveCount: String(queueNumbers.maxReceiveCount),
            }),
          },
        },
      ],
      buckets: ["files"],
    },
  });
}

export function openTestQueue(port: number, name: "jobs" | "dead" = "jobs"): JobQueue {
  return openSqsQueue({
    url: `http://127.0.0.1:${port}/000000000000/${name}`,
    endpoint: `http://127.0.0.1:${port}`,
    region: "us-east-1",
    waitSeconds: 1,
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
  });
}

export function openTestObjects(port: number) {
  return openObjectStore({
    endpoint: `http://127.0.0.1:${port}`,
    bucket: "files",
    // What R2 is signed for.
    region: "auto",
    accessKeyId: "test",
    secretAccessKey: "test",
  });
}

function makeWorker(options: {
  id: string;
  edgeUrl: string;
  port: number;
  models: AnnouncedModels;
  readsDeadLetters: boolean;
  log: Logger;
  openEngine?: WorkerOptions["openEngine"];
}): RunningWorker {
  const queue = openTestQueue(options.port);
  const deadLetters = options.readsDeadLetters ? openTestQueue(options.port, "dead") : null;
  const edge = openEdgeClient({ url: options.edgeUrl, secret, wallClock: Date.now });
  const worker = new Worker({
    id: options.id,
    queue,
    deadLetters,
    edge,
    objects: openTestObjects(options.port),
    models: options.models,
    ...(options.openEngine && { openEngine: options.openEngine }),
    policy: cpuBatchPolicy,
    metrics: createMetrics(),
    log: options.log,
    clock: { wall: Date.now, steady: () => performance.now() },
    random: Math.random,
  });
  const close = async () => {
    await worker.drain(AbortSignal.abort());
    queue.close();
    deadLetters?.close();
    await edge.close();
  };
  return { worker, close };
}

export function noopMessage(options: { inputs?: string[]; shard?: number } = {}): JobMessage {
  const shard = options.shard ?? 0;
  return {
    version: 1,
    id: formatJobId(shard, randomBytes(16).toString("hex")),
    shard,
    tenant: "operator",
    model: "noop",
    requestKey: null,
    createdAt: Date.now(),
    task: "noop",
    parameters: {},
    inputs: options.inputs ?? ["hello"],
  };
}
