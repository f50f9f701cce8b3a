/**
 * What callers notice of tuning: how long one caller waits for each embedding while nothing else is done, while a dry
 * run reads a data set, and while a job trains on it, all on one machine. The dry run and the job are asked for by
 * OpenAI's client, on SST-2 of `../shared/data`; the job is cancelled once that is known.
 */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import OpenAI, { toFile } from "openai";
import { startStack } from "../infra/local/start-stack.ts";
import { type Bench, type BenchContext, plainRow, type Row } from "./bench.ts";
import { labelledTexts, sharedFolder } from "./harness/corpus.ts";
import { type LoadFigures, runLoad } from "./harness/http-load.ts";

const model = "all-MiniLM-L6-v2";
const file = "sst2/train.jsonl";
const requests = 400;
const pollMs = 200;

class Caller {
  readonly #load: { origin: string; path: string; headers: Record<string, string> };
  readonly #texts: readonly string[];
  readonly #signal: AbortSignal;
  #sent = 0;

  constructor(origin: string, key: string, signal: AbortSignal) {
    const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
    this.#load = { origin, path: "/v1/embeddings", headers };
    this.#texts = labelledTexts(file, 8 * requests).map(({ text }) => text);
    this.#signal = signal;
  }

  /** Each text once, or a result that is kept would be measured. */
  measure(count = requests): Promise<LoadFigures> {
    const from = this.#sent;
    this.#sent += count;
    const body = (i: number) => JSON.stringify({ model, input: `${from + i}: ${this.#texts[i]}` });
    return runLoad({ ...this.#load, body, callers: 1, requests: count }, this.#signal);
  }
}

/** Resolves when the job has told of a step. */
async function trains(client: OpenAI, id: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    const { data } = await client.fineTuning.jobs.listEvents(id, { limit: 100 });
    if (data.some(({ type }) => type === "metrics")) return;
    const { status } = await client.fineTuning.jobs.retrieve(id);
    if (status === "failed") throw new Error("the job failed");
    await delay(pollMs, undefined, { signal });
  }
}

function rowsOf(name: string, { p50Ms, p95Ms }: LoadFigures, alone: LoadFigures): Row[] {
  return [
    plainRow(`${name}: p50`, "ms", p50Ms),
    plainRow(`${name}: p95`, "ms", p95Ms),
    plainRow(`${name}: p50 / alone`, "×", p50Ms / alone.p50Ms),
  ];
}

async function run({ print, signal }: BenchContext): Promise<Row[]> {
  const stack = await startStack({ env: { LLM_OS_TRAINING: "on" } });
  try {
    const client = new OpenAI({ apiKey: stack.operatorKey, baseURL: `${stack.url}/v1` });
    const caller = new Caller(stack.url, stack.operatorKey, signal);
    await caller.measure();
    const alone = await caller.measure();
    print(`alone: p50 ${alone.p50Ms.toFixed(1)} ms`);
    const content = await readFile(path.join(sharedFolder, "data", file));
    const upload = await client.files.create({
      file: await toFile(content, "train.jsonl"),
      purpose: "fine-tune",
    });
    const body = { model, training_file: upload.id, task: "text-classification", seed: 0 };
    const dry = { done: false };
    const dryRun = client
      .post("/fine_tuning/jobs", { body: { ...body, dry_run: true } })
      .finally(() => (dry.done = true));
    const during: LoadFigures[] = [];
    while (!dry.done) during.push(await caller.measure(20));
    await dryRun;
    const { id } = await client.fineTuning.jobs.create(body);
    await trains(client, id, signal);
    const training = await caller.measure();
    await client.fineTuning.jobs.cancel(id);
    const slowest = during.toSorted((a, b) => b.p50Ms - a.p50Ms)[0] ?? alone;
    return [
      ...rowsOf("alone", alone, alone),
      ...rowsOf("beside a dry run, the slowest 20", slowest, alone),
      ...rowsOf("beside training", training, alone),
    ];
  } finally {
    await stack.stop();
  }
}

export const bench: Bench = {
  summary: "how long an embedding takes alone, beside a dry run and beside training",
  run,
};
