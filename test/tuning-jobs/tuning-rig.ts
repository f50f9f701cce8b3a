/**
 * A queue and object server, a stand-in edge, a tiny base, jobs to train it with, and what takes them: in this process,
 * or in one of its own that can be killed.
 */
import { type ChildProcess, fork } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { FauxqsServer } from "fauxqs";
import { pino } from "pino";
import type { ObjectReference } from "../../contract/object-reference.ts";
import type { TunedModelFile } from "../../contract/training/tuned-model.ts";
import type { TuningOrder, TuningOutcome } from "../../contract/training/tuning-job.ts";
import type { TuningOptions } from "../../contract/training/tuning-options.ts";
import { openEdgeClient } from "../../gpu-worker/jobs/edge-client.ts";
import { openFileUploads } from "../../gpu-worker/jobs/object-upload.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { runOrder } from "../../gpu-worker/tuning-jobs/run-order.ts";
import { TuningWorker } from "../../gpu-worker/tuning-jobs/tuning-worker.ts";
import { type CatalogBench, never, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { childEnvironment, jobsQueueUrl, kill } from "../jobs/child-process.ts";
import { openTestObjects, openTestQueue, startQueueServer } from "../jobs/rig.ts";
import { secret } from "../jobs/stand-in-edge.ts";
import { madeTexts } from "../training/tune-bench.ts";
import { TrainingEdge } from "./training-edge.ts";

const log = pino({ level: "silent" });
const script = path.resolve(import.meta.dirname, "../../gpu-worker/train.ts");

export const usualOptions: TuningOptions = {
  task: null,
  strategy: "full",
  layers: null,
  epochs: 3,
  batch: 16,
  learningRate: 1e-2,
  learningRateMultiplier: null,
  labelSmoothing: null,
  lora: null,
  softPrompt: null,
  earlyStopping: null,
  trials: null,
  seed: 1,
  maxSeconds: 900,
  labelNames: null,
  skipInvalid: false,
};

/** Text and label a line; the label can be learnt. */
export function labelled(count: number): string {
  const lines = madeTexts(count).map((text) => ({ text, label: String(text.includes("quick")) }));
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

export class TuningRig {
  readonly edge = new TrainingEdge();
  readonly bench: CatalogBench;
  readonly queueServer: FauxqsServer;
  readonly #ending = new AbortController();
  readonly #children: ChildProcess[] = [];
  #working: Promise<void> = Promise.resolve();

  private constructor(bench: CatalogBench, queueServer: FauxqsServer) {
    this.bench = bench;
    this.queueServer = queueServer;
  }

  static async open(): Promise<TuningRig> {
    const bench = await openCatalogBench();
    await writeTinyEncoder(bench.local("tiny"));
    const rig = new TuningRig(bench, await startQueueServer(0));
    await rig.edge.start();
    return rig;
  }

  /** What a job came to, once it is over. */
  async outcomeOf(order: Pick<TuningOrder, "id">): Promise<TuningOutcome> {
    const own = () => this.edge.reports.filter(({ id, outcome }) => id === order.id && outcome);
    await this.edge.until(() => own().length > 0);
    const [report] = own();
    if (report?.outcome == null) throw new Error("no outcome");
    return report.outcome;
  }

  /** A job that waits to be claimed, its message sent. */
  async add(changes: Partial<TuningOrder> = {}, data = labelled(120)): Promise<TuningOrder> {
    const id = `ftjob-${randomBytes(16).toString("hex")}`;
    const order: TuningOrder = {
      id,
      tenant: "operator",
      lease: "none",
      attempt: 1,
      model: "tiny",
      start: null,
      training: { filename: "train.jsonl", object: await this.store(`uploads/${id}`, data) },
      validation: null,
      options: usualOptions,
      name: `ft:tiny::${id.slice("ftjob-".length)}`,
      modelPrefix: `models/${id}/`,
      resultPrefix: `results/${id}/`,
      ...changes,
    };
    this.edge.orders.set(order.id, order);
    this.send(order);
    return order;
  }

  send({ id, tenant }: Pick<TuningOrder, "id" | "tenant">): void {
    this.queueServer.sendMessage("jobs", JSON.stringify({ version: 1, id, tenant }));
  }

  async store(key: string, text: string): Promise<ObjectReference> {
    const parts = (async function* () {
      yield text;
    })();
    const objects = openTestObjects(this.queueServer.port);
    return objects.write(key, { contentType: "text/plain", parts }, never);
  }

  async read(reference: ObjectReference): Promise<Buffer> {
    const objects = openTestObjects(this.queueServer.port);
    const parts: Uint8Array[] = [];
    for await (const part of objects.open(reference, never)) parts.push(part);
    return Buffer.concat(parts);
  }

  /** As whoever serves a tuned model does. */
  async fetchModel(files: readonly TunedModelFile[], folder: string): Promise<void> {
    for (const file of files) {
      const target = path.join(folder, file.path);
      await mkdir(path.dirname(target), { recursive: true });
      await writeFile(target, await this.read(file.object));
    }
  }

  folderOf({ id }: Pick<TuningOrder, "id">): string {
    return path.join(this.bench.settings.stateFolder, "training", id);
  }

  queued(name: "jobs" | "dead"): number {
    const messages = this.queueServer.inspectQueue(name)?.messages;
    return (messages?.ready.length ?? 0) + (messages?.inflight.length ?? 0);
  }

  /** Works in this process until `stop`. */
  async work(): Promise<void> {
    const { port } = this.queueServer;
    const queue = openTestQueue(port);
    const edge = openEdgeClient({ url: this.edge.url, secret, wallClock: Date.now });
    const runtime = await openRuntime({ log, only: "c-api", threads: 1 });
    const tools = {
      settings: this.bench.settings,
      objects: openTestObjects(port),
      upload: openFileUploads(storeOf(port)),
      runtime,
      saveSeconds: 60,
      clock: { wall: Date.now, steady: () => performance.now() },
      log,
    };
    const worker = new TuningWorker({
      id: "trainer",
      queue,
      edge,
      run: (order, lease, done) => runOrder(order, lease, tools, done),
      backoff: { firstMs: 10, maxMs: 50, random: () => 1 },
      wallClock: Date.now,
      log,
    });
    const { signal } = this.#ending;
    this.#working = worker.work(signal, never).then(async () => {
      queue.close();
      await edge.close();
    });
  }

  /** Works in a process of its own. */
  spawn(saveSeconds = 0): ChildProcess {
    const { port } = this.queueServer;
    const { stateFolder, modelsFolder } = this.bench.settings;
    const { PATH = "" } = process.env;
    const child = fork(script, {
      silent: true,
      env: {
        PATH,
        ...childEnvironment(port, this.edge.url),
        SQS_TRAINING_QUEUE_URL: jobsQueueUrl(port),
        LLM_OS_STATE: stateFolder,
        LLM_OS_MODELS: modelsFolder ?? "",
        LLM_OS_THREADS: "1",
        LLM_OS_TRAINING_SAVE_SECONDS: String(saveSeconds),
        LLM_OS_LOG_LEVEL: "warn",
      },
    });
    child.stdout?.on("data", () => undefined);
    this.#children.push(child);
    return child;
  }

  /** Of `work`. */
  async stopWorking(): Promise<void> {
    this.#ending.abort();
    await this.#working;
  }

  async close(): Promise<void> {
    const stopped = this.stopWorking();
    // Answers the poll that is open at once, and not after a second.
    this.queueServer.reset();
    await stopped;
    for (const child of this.#children) await kill(child);
    await this.queueServer.stop();
    await this.edge.stop();
    await this.bench.close();
  }
}

export function storeOf(port: number) {
  return {
    endpoint: `http://127.0.0.1:${port}`,
    bucket: "files",
    region: "auto",
    accessKeyId: "test",
    secretAccessKey: "test",
  };
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}
