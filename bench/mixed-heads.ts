/**
 * 64 short texts in one batch: classified by 16 heads over one backbone, four texts each, beside all by one head. The
 * two take turns, so that a machine that slows down meets both. Head by head, in 16 batches, is measured too: what it
 * would cost if heads could not share one.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { TaskRunner } from "../gpu-worker/jobs/task-runner.ts";
import type { EncoderModel } from "../gpu-worker/model/encoder-model.ts";
import { openRuntime } from "../gpu-worker/runtime/open-runtime.ts";
import { type Bench, type BenchContext, comparedRow, plainRow, type Row } from "./bench.ts";
import { median } from "./harness/http-load.ts";
import { withLinearHead } from "./harness/linear-heads.ts";
import { type Random, randomFrom } from "./harness/random.ts";
import { ServedModels } from "./harness/served-models.ts";

const stateFolder = path.resolve(import.meta.dirname, "..", ".bench", "mixed-heads");
const headCount = 16;
const textCount = 64;
const labelCount = 8;
const rounds = 40;
const roundsMax = 200;
const warmUpRounds = 5;

/** Whatever waits is one batch: nothing is gained by a smaller one, and two slots do not share it. */
const oneBatch = {
  tokensMin: 65_536,
  tokensMax: 65_536,
  entriesMax: textCount,
  windowEntries: textCount,
  overheadTokens: 1_000_000,
  quantumTokens: 65_536,
  waitMsMax: 1_000,
};

const words = "a film that is warm and funny or slow but never quite as dull as it could have been";

function shortText(random: Random): string {
  const all = words.split(" ");
  const count = 6 + Math.floor(random() * 8);
  return Array.from({ length: count }, () => all[Math.floor(random() * all.length)]).join(" ");
}

/** What one round took, and in how many batches. */
type Timed = { ms: number; batches: number };

class MixedHeads {
  readonly #served: ServedModels;
  readonly #heads: readonly EncoderModel[];
  readonly #texts: readonly string[];
  readonly #signal: AbortSignal;
  /** Since it was last set to 0. */
  batches = 0;

  constructor(
    served: ServedModels,
    { heads, texts }: { heads: readonly EncoderModel[]; texts: readonly string[] },
    signal: AbortSignal,
  ) {
    this.#served = served;
    this.#heads = heads;
    this.#texts = texts;
    this.#signal = signal;
  }

  /** All texts at once, the i-th by the i-th of `count` heads, in turn. */
  together(count: number): Promise<Timed> {
    return this.#timed(async () => {
      await Promise.all(this.#texts.map((text, index) => this.#classify(index % count, text)));
    });
  }

  /** The same by all heads, one after the other. */
  apart(): Promise<Timed> {
    return this.#timed(async () => {
      for (let head = 0; head < headCount; head += 1) {
        const own = this.#texts.filter((_, index) => index % headCount === head);
        await Promise.all(own.map((text) => this.#classify(head, text)));
      }
    });
  }

  async #timed(work: () => Promise<void>): Promise<Timed> {
    this.batches = 0;
    const startedAt = performance.now();
    await work();
    return { ms: performance.now() - startedAt, batches: this.batches };
  }

  #classify(head: number, text: string) {
    const model = this.#heads[head];
    if (model === undefined) throw new Error(`there is no head ${head}`);
    const request = { task: "text-classification" as const, inputs: [text], parameters: {} };
    return this.#served.answerBy(model, request, this.#signal);
  }
}

type Times = { mixed: number[]; one: number[]; apart: number[] };

/** Texts are encoded beside the event loop, and some rounds begin with a batch of the first: those do not count. */
async function measure(mixed: MixedHeads): Promise<Times> {
  const times: Times = { mixed: [], one: [], apart: [] };
  for (let round = 0; round < roundsMax && times.one.length < rounds; round += 1) {
    // Whoever comes second finds warmer caches: they take turns in that too.
    const order = round % 2 === 0 ? [headCount, 1] : [1, headCount];
    const taken = new Map<number, Timed>();
    for (const heads of order) taken.set(heads, await mixed.together(heads));
    const [some, one] = [taken.get(headCount), taken.get(1)];
    const whole = some?.batches === 1 && one?.batches === 1;
    if (round < warmUpRounds || !whole) continue;
    times.mixed.push(some.ms);
    times.one.push(one.ms);
    times.apart.push((await mixed.apart()).ms);
  }
  return times;
}

function rowsOf({ mixed, one, apart }: Times): Row[] {
  const peer = { name: "one head", value: median(one) };
  return [
    comparedRow(`${headCount} heads in one batch`, "ms", median(mixed), peer),
    plainRow(`${headCount} heads in one batch, cost vs one head`, "×", median(mixed) / peer.value),
    comparedRow(`${headCount} heads in ${headCount} batches`, "ms", median(apart), peer),
  ];
}

export const bench: Bench = {
  summary: `${headCount} heads over one backbone in a batch of ${textCount} texts, beside one head`,
  run: async ({ print, signal }: BenchContext) => {
    mkdirSync(stateFolder, { recursive: true });
    const runtime = await openRuntime({ log: { info: () => {}, warn: console.warn } });
    print(runtime.describe());
    let mixed: MixedHeads | null = null;
    const runner = new TaskRunner({
      policy: oneBatch,
      now: () => performance.now(),
      onBatch: () => {
        if (mixed !== null) mixed.batches += 1;
      },
    });
    const settings = { runtime, stateFolder, modelsFolder: null, form: "f32" as const };
    const served = await ServedModels.open({ ...settings, runner });
    try {
      // Without measured costs, so that the policy above holds.
      const base = { ...(await served.load("all-MiniLM-L6-v2", signal)), costs: [] };
      const random = randomFrom(1);
      const heads = Array.from({ length: headCount }, () =>
        withLinearHead(base, labelCount, random),
      );
      const texts = Array.from({ length: textCount }, () => shortText(random));
      mixed = new MixedHeads(served, { heads, texts }, signal);
      const times = await measure(mixed);
      print(`${times.one.length} rounds in which all texts shared one batch`);
      return rowsOf(times);
    } finally {
      await served.close();
    }
  },
};
