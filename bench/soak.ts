/**
 * 200 000 requests of random shapes (task, model, length, texts in a request, labels) from 64 callers through models
 * served in this process, and whether memory grows: resident and JavaScript's heap, every 10 000 requests, and the
 * slope of both after warm-up. SOAK_REQUESTS sets another number of requests, for a short run.
 */
import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { openRuntime } from "../gpu-worker/runtime/open-runtime.ts";
import type { EncoderModel } from "../gpu-worker/model/encoder-model.ts";
import { writeMinilmWithHead } from "../test/models/minilm-with-head.ts";
import { type Bench, type BenchContext, plainRow, type Row } from "./bench.ts";
import { type Slope, slopeOf } from "./harness/line.ts";
import { withLinearHead } from "./harness/linear-heads.ts";
import { type Random, randomFrom } from "../contract/random.ts";
import { ServedModels } from "./harness/served-models.ts";

const stateFolder = path.resolve(import.meta.dirname, "..", ".bench", "soak");
const callers = 64;
const readings = 20;
/** Of the readings: caches fill, code is compiled, the allocator finds its sizes. */
const warmUpShare = 0.3;
/** Growth over all requests that counts as none, of the resident memory. */
const flatShare = 0.02;
/** Of one request, and of one text: past the model's length. */
const [textsMost, wordsMost] = [24, 400];
const mebibyte = 2 ** 20;

function requestCount(): number {
  const wanted = Number(process.env["SOAK_REQUESTS"] ?? 200_000);
  if (Number.isInteger(wanted) && wanted >= 1_000) return wanted;
  throw new Error("SOAK_REQUESTS must be a whole number from 1000 on");
}

type Served = {
  models: ServedModels;
  encoder: EncoderModel;
  heads: readonly [EncoderModel, EncoderModel];
  tagger: EncoderModel;
};

async function openModels({ print, signal }: BenchContext): Promise<Served> {
  const modelsFolder = path.join(stateFolder, "models");
  rmSync(modelsFolder, { recursive: true, force: true });
  mkdirSync(modelsFolder, { recursive: true });
  await writeMinilmWithHead(modelsFolder, "minilm-entities", "float32");
  const runtime = await openRuntime({ log: { info: () => {}, warn: console.warn } });
  print(runtime.describe());
  const models = await ServedModels.open({ runtime, stateFolder, modelsFolder, form: "auto" });
  const encoder = await models.load("all-MiniLM-L6-v2", signal);
  const tagger = await models.load("minilm-entities", signal);
  const random = randomFrom(5);
  const heads = [withLinearHead(encoder, 2, random), withLinearHead(encoder, 77, random)] as const;
  return { models, encoder, heads, tagger };
}

const syllables = "ba ko mi ren tu sal vo ning per ta lu dor est qua fi".split(" ");

class RandomRequests {
  readonly #served: Served;
  readonly #random: Random;
  readonly #signal: AbortSignal;

  constructor(served: Served, random: Random, signal: AbortSignal) {
    this.#served = served;
    this.#random = random;
    this.#signal = signal;
  }

  async send(): Promise<void> {
    const { models, encoder, heads, tagger } = this.#served;
    const signal = this.#signal;
    const which = this.#random();
    const inputs = this.#texts();
    if (which < 0.4) {
      const parameters = { truncate: true, normalize: this.#random() < 0.5 };
      await models.answerBy(encoder, { task: "feature-extraction", inputs, parameters }, signal);
    } else if (which < 0.75) {
      const parameters = { truncate: true, top_k: 1 + this.#upTo(5) };
      const request = { task: "text-classification" as const, inputs, parameters };
      await models.answerBy(heads[which < 0.6 ? 0 : 1], request, signal);
    } else if (which < 0.97) {
      const parameters = { stride: 0 };
      await models.answerBy(tagger, { task: "token-classification", inputs, parameters }, signal);
    } else {
      const labels = Array.from({ length: 1 + this.#upTo(4) }, (_, at) => `${this.#word()} ${at}`);
      const parameters = { candidate_labels: labels, truncate: true };
      const request = { task: "zero-shot-classification" as const, inputs, parameters };
      await models.answerBy(encoder, request, signal);
    }
  }

  /** Mostly one short text; now and then many, or one past the model's length. */
  #texts(): string[] {
    const many = this.#random();
    const count = many < 0.9 ? 1 : 1 + this.#upTo(many < 0.995 ? 4 : textsMost);
    return Array.from({ length: count }, () => this.#text());
  }

  /** The largest shapes first: otherwise memory grows until chance has brought them all together. */
  async sendLargest(): Promise<void> {
    const { models, encoder, tagger } = this.#served;
    const signal = this.#signal;
    const text = Array.from({ length: wordsMost }, () => this.#word()).join(" ");
    const inputs = Array.from({ length: textsMost }, () => text);
    const parameters = { truncate: true };
    const extract = { task: "feature-extraction" as const, inputs, parameters };
    const tag = { task: "token-classification" as const, inputs, parameters: { stride: 0 } };
    await Promise.all([
      ...[1, 2].map(() => models.answerBy(encoder, extract, signal)),
      ...[1, 2].map(() => models.answerBy(tagger, tag, signal)),
    ]);
  }

  #text(): string {
    const long = this.#random();
    const most = long < 0.97 ? 6 : long < 0.999 ? 40 : wordsMost;
    return Array.from({ length: 1 + this.#upTo(most) }, () => this.#word()).join(" ");
  }

  #word(): string {
    const pick = () => syllables[this.#upTo(syllables.length)] ?? "";
    return Array.from({ length: 1 + this.#upTo(2) }, pick).join("");
  }

  #upTo(most: number): number {
    return Math.floor(this.#random() * most);
  }
}

type Reading = { requests: number; rss: number; heap: number };

/** So that what is read is in use, and not waiting to be collected. */
function openCollector(): () => void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect !== "function") throw new Error("the garbage collector cannot be called");
  return () => void collect();
}

/** Sends `count` requests and waits for all answers: nothing is in flight when memory is read. */
async function sendAll(requests: RandomRequests, count: number): Promise<void> {
  let left = count;
  const caller = async () => {
    while (left > 0) {
      left -= 1;
      await requests.send();
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
}

async function soak(
  requests: RandomRequests,
  count: number,
  { print, signal }: BenchContext,
): Promise<Reading[]> {
  const collect = openCollector();
  const taken: Reading[] = [];
  const step = Math.ceil(count / readings);
  await requests.sendLargest();
  for (let done = 0; done < count;) {
    signal.throwIfAborted();
    const some = Math.min(step, count - done);
    await sendAll(requests, some);
    done += some;
    collect();
    const { rss, heapUsed } = process.memoryUsage();
    taken.push({ requests: done, rss, heap: heapUsed });
    const [resident, heap] = [rss / mebibyte, heapUsed / mebibyte].map((size) => size.toFixed(1));
    print(`${done} requests: ${resident} MiB resident, ${heap} MiB of JavaScript`);
  }
  return taken;
}

function slopeAfterWarmUp(taken: readonly Reading[], of: "rss" | "heap"): Slope {
  const steady = taken.slice(Math.floor(taken.length * warmUpShare));
  return slopeOf(steady.map((reading) => ({ x: reading.requests, y: reading[of] })));
}

function rowsOf(taken: readonly Reading[], seconds: number, print: BenchContext["print"]): Row[] {
  const last = taken.at(-1) ?? { requests: NaN, rss: NaN, heap: NaN };
  const [rss, heap] = [slopeAfterWarmUp(taken, "rss"), slopeAfterWarmUp(taken, "heap")];
  const growth = (rss.slope * last.requests) / last.rss;
  const flat = growth < flatShare || rss.slope - rss.margin < 0;
  print(
    `memory ${flat ? "does not grow" : "GROWS"}: ${rss.slope.toFixed(1)} ± ${rss.margin.toFixed(1)} ` +
      `bytes a request resident, ${heap.slope.toFixed(1)} ± ${heap.margin.toFixed(1)} of JavaScript`,
  );
  return [
    plainRow("memory slope after warm-up", "B/req", rss.slope),
    plainRow("memory slope after warm-up, ±", "B/req", rss.margin),
    plainRow("heap slope after warm-up", "B/req", heap.slope),
    plainRow("memory growth over all requests", "% of resident", growth * 100),
    plainRow("memory at the end", "MiB", last.rss / mebibyte),
    plainRow("requests", "", last.requests),
    plainRow("requests a second", "req/s", last.requests / seconds),
  ];
}

export const bench: Bench = {
  summary: "200 000 requests of random shapes: whether memory grows",
  run: async (context) => {
    const count = requestCount();
    const served = await openModels(context);
    try {
      const requests = new RandomRequests(served, randomFrom(7), context.signal);
      const startedAt = performance.now();
      const taken = await soak(requests, count, context);
      return rowsOf(taken, (performance.now() - startedAt) / 1_000, context.print);
    } finally {
      await served.models.close();
    }
  },
};
