/**
 * 64 short texts in one batch: classified by 16 tuned models of one backbone, four texts each, beside all by one. They
 * are heads alone, or adapters of low rank with a head. The two take turns, so that a machine that slows down meets
 * both. Model by model, in 16 batches, is measured too: what it would cost if they could not share one. Then steps of a
 * decoder that write for 16 adapters, one, and none.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { TaskRunner } from "../gpu-worker/jobs/task-runner.ts";
import type { EncoderModel } from "../gpu-worker/model/encoder-model.ts";
import { openRuntime } from "../gpu-worker/runtime/open-runtime.ts";
import type { Runtime } from "../gpu-worker/runtime/session.ts";
import { type Bench, type BenchContext, comparedRow, plainRow, type Row } from "./bench.ts";
import { measureDecoderAdapters } from "./harness/decoder-adapters.ts";
import { median } from "./harness/http-load.ts";
import { withLinearHead } from "./harness/linear-heads.ts";
import { writeLoraFolder } from "./harness/lora-folders.ts";
import { type Random, randomFrom } from "../contract/random.ts";
import { ServedModels } from "./harness/served-models.ts";

const stateFolder = path.resolve(import.meta.dirname, "..", ".bench", "mixed-heads");
const modelCount = 16;
/** Of adapters, as PEFT has it where nothing is said. */
const rank = 8;
const textCount = 64;
const labelCount = 8;
const baseId = "all-MiniLM-L6-v2";
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

/** What one round took, of processors too, and in how many batches. */
type Timed = { ms: number; processorMs: number; batches: number };

class MixedModels {
  readonly #served: ServedModels;
  readonly #models: readonly EncoderModel[];
  readonly #texts: readonly string[];
  readonly #signal: AbortSignal;
  /** Since it was last set to 0. */
  batches = 0;

  constructor(
    served: ServedModels,
    { models, texts }: { models: readonly EncoderModel[]; texts: readonly string[] },
    signal: AbortSignal,
  ) {
    this.#served = served;
    this.#models = models;
    this.#texts = texts;
    this.#signal = signal;
  }

  /** All texts at once, the i-th by the i-th of `count` models, in turn. */
  together(count: number): Promise<Timed> {
    return this.#timed(async () => {
      await Promise.all(this.#texts.map((text, index) => this.#classify(index % count, text)));
    });
  }

  /** The same by all heads, one after the other. */
  apart(): Promise<Timed> {
    return this.#timed(async () => {
      for (let head = 0; head < modelCount; head += 1) {
        const own = this.#texts.filter((_, index) => index % modelCount === head);
        await Promise.all(own.map((text) => this.#classify(head, text)));
      }
    });
  }

  async #timed(work: () => Promise<void>): Promise<Timed> {
    this.batches = 0;
    const [startedAt, usedBefore] = [performance.now(), process.cpuUsage()];
    await work();
    const ms = performance.now() - startedAt;
    const { user, system } = process.cpuUsage(usedBefore);
    return { ms, processorMs: (user + system) / 1_000, batches: this.batches };
  }

  #classify(head: number, text: string) {
    const model = this.#models[head];
    if (model === undefined) throw new Error(`there is no head ${head}`);
    const request = { task: "text-classification" as const, inputs: [text], parameters: {} };
    return this.#served.answerBy(model, request, this.#signal);
  }
}

type Times = { mixed: Timed[]; one: Timed[]; apart: number[] };

/** Texts are encoded beside the event loop, and some rounds begin with a batch of the first: those do not count. */
async function measure(mixed: MixedModels): Promise<Times> {
  const times: Times = { mixed: [], one: [], apart: [] };
  for (let round = 0; round < roundsMax && times.one.length < rounds; round += 1) {
    // Whoever comes second finds warmer caches: they take turns in that too.
    const order = round % 2 === 0 ? [modelCount, 1] : [1, modelCount];
    const taken = new Map<number, Timed>();
    for (const heads of order) taken.set(heads, await mixed.together(heads));
    const [some, one] = [taken.get(modelCount), taken.get(1)];
    const whole = some?.batches === 1 && one?.batches === 1;
    if (round < warmUpRounds || !whole) continue;
    times.mixed.push(some);
    times.one.push(one);
    times.apart.push((await mixed.apart()).ms);
  }
  return times;
}

function medianOf(taken: readonly Timed[], of: "ms" | "processorMs"): number {
  return median(taken.map((each) => each[of]));
}

function rowsOf({ mixed, one, apart }: Times, what: string): Row[] {
  const cost = (of: "ms" | "processorMs") => medianOf(mixed, of) / medianOf(one, of);
  const peer = { name: "one", value: medianOf(one, "ms") };
  return [
    comparedRow(`${what}, ${modelCount} in one batch`, "ms", medianOf(mixed, "ms"), peer),
    plainRow(`${what}, ${modelCount} in one batch, cost vs one`, "×", cost("ms")),
    // Where others use the machine too, this is the steadier of the two.
    plainRow(
      `${what}, ${modelCount} in one batch, processor time vs one`,
      "×",
      cost("processorMs"),
    ),
    comparedRow(`${what}, ${modelCount} in ${modelCount} batches`, "ms", median(apart), peer),
  ];
}

type Bed = BenchContext & { readonly runtime: Runtime; readonly texts: readonly string[] };

/** Models made or loaded with a runner that counts its batches. */
async function measureModels(
  { runtime, texts, print, signal }: Bed,
  { what, form, modelsFolder }: { what: string; form: "f32" | "int8"; modelsFolder: string | null },
  modelsOf: (served: ServedModels) => Promise<EncoderModel[]>,
): Promise<Row[]> {
  let mixed: MixedModels | null = null;
  const runner = new TaskRunner({
    policy: oneBatch,
    now: () => performance.now(),
    onBatch: () => {
      if (mixed !== null) mixed.batches += 1;
    },
  });
  const served = await ServedModels.open({ runtime, stateFolder, modelsFolder, form, runner });
  try {
    // Without measured costs, so that the policy above holds.
    const models = (await modelsOf(served)).map((model) => ({ ...model, costs: [] }));
    mixed = new MixedModels(served, { models, texts }, signal);
    const times = await measure(mixed);
    print(`${what}: ${times.one.length} rounds in which all texts shared one batch`);
    return rowsOf(times, what);
  } finally {
    await served.close();
  }
}

function measureHeads(bed: Bed, random: Random): Promise<Row[]> {
  const settings = { what: "heads, f32", form: "f32", modelsFolder: null } as const;
  return measureModels(bed, settings, async (served) => {
    const base = await served.load(baseId, bed.signal);
    return Array.from({ length: modelCount }, () => withLinearHead(base, labelCount, random));
  });
}

type Tuning = { form: "f32" | "int8"; name: string; targets: readonly string[] };

async function writeAdapters({ runtime, signal }: Bed, tuning: Tuning, random: Random) {
  const modelsFolder = path.join(stateFolder, `models-${tuning.name}`);
  const served = await ServedModels.open({
    runtime,
    stateFolder,
    modelsFolder: null,
    form: tuning.form,
  });
  try {
    const base = await served.load(baseId, signal);
    for (let at = 0; at < modelCount; at += 1) {
      const folder = path.join(modelsFolder, `lora-${at}`);
      await writeLoraFolder(folder, { base, rank, targets: tuning.targets }, random);
    }
  } finally {
    await served.close();
  }
  return modelsFolder;
}

async function measureAdapters(bed: Bed, tuning: Tuning, random: Random): Promise<Row[]> {
  const { form, name } = tuning;
  const modelsFolder = await writeAdapters(bed, tuning, random);
  const what = `adapters on ${name}, ${form}`;
  return measureModels(bed, { what, form, modelsFolder }, async (served) => {
    const models: EncoderModel[] = [];
    for (let at = 0; at < modelCount; at += 1) {
      models.push(await served.load(`lora-${at}`, bed.signal));
    }
    return models;
  });
}

const tunings: readonly Tuning[] = (["f32", "int8"] as const).flatMap((form) => [
  { form, name: "query and value", targets: ["query", "value"] },
  { form, name: "all layers", targets: [] },
]);

export const bench: Bench = {
  summary: `${modelCount} tuned models of one backbone in a batch of texts, and in a decoder's step, beside one`,
  run: async (context: BenchContext) => {
    mkdirSync(stateFolder, { recursive: true });
    const runtime = await openRuntime({ log: { info: () => {}, warn: console.warn } });
    context.print(runtime.describe());
    const random = randomFrom(1);
    const texts = Array.from({ length: textCount }, () => shortText(random));
    const bed = { ...context, runtime, texts };
    const rows = await measureHeads(bed, random);
    for (const tuning of tunings) rows.push(...(await measureAdapters(bed, tuning, random)));
    rows.push(...(await measureDecoderAdapters(context, runtime, { stateFolder, random })));
    return rows;
  },
};
