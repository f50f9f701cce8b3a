/**
 * What augmentation is worth where there are few examples: accuracy on banking77 of `../shared/data` of the platform's
 * few-shot classifier (logistic regression on MiniLM's sentence vectors), taught by ten examples a class as they are,
 * with edits of their words beside them, and with what a small model wrote too. Whatever is not sampled as an example
 * may be held out. `npm run bench -- augment edits` leaves the model out; a number says how many seeds.
 */
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  augmentationDefaults,
  type AugmentationParameters,
  type LabelledExample,
} from "../contract/tasks/augmentation.ts";
import { openCatalog } from "../gpu-worker/catalog/open-catalog.ts";
import { cpuBatchPolicy, TaskRunner } from "../gpu-worker/jobs/task-runner.ts";
import type { ModelLease, ServedModel } from "../gpu-worker/model/served-model.ts";
import { augmentation } from "../gpu-worker/pipelines/augmentation.ts";
import { fewShotClassification } from "../gpu-worker/pipelines/few-shot-classification.ts";
import { openRuntime } from "../gpu-worker/runtime/open-runtime.ts";
import { randomFrom } from "../contract/random.ts";
import { type Bench, type BenchContext, comparedRow, plainRow, type Row } from "./bench.ts";
import { labelledTexts, sharedFolder } from "./harness/corpus.ts";

const embedder = augmentationDefaults.embedder;
const generator = "SmolLM2-135M-Instruct";
const dataFile = "banking77/train.jsonl";
/** More than it has: all are read. */
const linesMax = 20_000;
const perClass = 10;
const heldOutMax = 2_000;
const seedsDefault = 2;
/** Candidates that the model writes for each seed: some seconds of two cores each ten. */
const writtenMax = 77;

const usual: AugmentationParameters = {
  ...augmentationDefaults,
  methods: [...augmentationDefaults.methods],
  generator: null,
  zero_shot: true,
};

type Split = { examples: LabelledExample[]; heldOut: LabelledExample[] };

function splitOf(rows: readonly LabelledExample[], seed: number): Split {
  const random = randomFrom(seed);
  const shuffled = rows
    .map((row) => ({ row, place: random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ row }) => row);
  const taken = new Map<string, number>();
  const split: Split = { examples: [], heldOut: [] };
  for (const row of shuffled) {
    const count = taken.get(row.label) ?? 0;
    taken.set(row.label, count + 1);
    if (count < perClass) split.examples.push(row);
    else if (split.heldOut.length < heldOutMax) split.heldOut.push(row);
  }
  return split;
}

type Models = { encoder: ServedModel; acquire(id: string): Promise<ServedModel> };

class Trial {
  readonly #runner: TaskRunner;
  readonly #models: Models;
  readonly #context: BenchContext;

  constructor(runner: TaskRunner, models: Models, context: BenchContext) {
    this.#runner = runner;
    this.#models = models;
    this.#context = context;
  }

  async augmented(
    examples: LabelledExample[],
    changed: Partial<AugmentationParameters>,
  ): Promise<LabelledExample[]> {
    const { encoder, acquire } = this.#models;
    const { signal } = this.#context;
    const startedAt = performance.now();
    const parameters = { ...usual, ...changed };
    const request = { task: "augmentation" as const, inputs: [{ examples }], parameters };
    const { outputs } = await this.#runner.run(augmentation, request, encoder, { signal, acquire });
    const [report] = outputs;
    if (report === undefined) throw new Error("there is no report");
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    const methods = report.methods.map((each) => `${each.method} ${each.kept}/${each.tried}`);
    this.#context.print(
      `  ${methods.join(", ")} in ${seconds} s; rejected ${JSON.stringify(report.rejected)}`,
    );
    return report.candidates.map(({ text, label }) => ({ text, label }));
  }

  /** Of the held-out texts, in percent. */
  async accuracy(
    examples: LabelledExample[],
    heldOut: readonly LabelledExample[],
  ): Promise<number> {
    const request = {
      task: "few-shot-classification" as const,
      inputs: heldOut.map(({ text }) => text),
      parameters: { examples, k: 1, truncate: true },
    };
    const { signal } = this.#context;
    const { encoder } = this.#models;
    const { outputs } = await this.#runner.run(fewShotClassification, request, encoder, { signal });
    const right = outputs.filter(([first], at) => first?.label === heldOut[at]?.label).length;
    this.#context.print(`  ${examples.length} examples: ${right} of ${heldOut.length} right`);
    return (100 * right) / heldOut.length;
  }
}

async function rowsOf(trial: Trial, split: Split, seed: number, withModel: boolean) {
  const { examples, heldOut } = split;
  const without = await trial.accuracy(examples, heldOut);
  const edits = await trial.augmented(examples, { per_example: 2, seed });
  const withEdits = await trial.accuracy([...examples, ...edits], heldOut);
  const told = { name: "without", value: without };
  const rows = [comparedRow(`seed ${seed}, with edits`, "%", withEdits, told)];
  if (!withModel) return { rows, without, withEdits, withBoth: null };
  const texts = await trial.augmented(examples, {
    methods: ["paraphrase", "style"],
    per_example: 1,
    generated_max: writtenMax,
    generator,
    seed,
  });
  const withBoth = await trial.accuracy([...examples, ...edits, ...texts], heldOut);
  rows.push(
    comparedRow(`seed ${seed}, with edits and ${texts.length} written`, "%", withBoth, told),
  );
  return { rows, without, withEdits, withBoth };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

async function compare(trial: Trial, context: BenchContext, data: readonly LabelledExample[]) {
  const seeds = Number(context.args.find((arg) => /^\d+$/.test(arg)) ?? seedsDefault);
  const withModel = !context.args.includes("edits");
  const rows: Row[] = [];
  const gains: { edits: number[]; both: number[] } = { edits: [], both: [] };
  for (let seed = 1; seed <= seeds; seed += 1) {
    const found = await rowsOf(trial, splitOf(data, seed), seed, withModel);
    rows.push(...found.rows);
    gains.edits.push(found.withEdits - found.without);
    if (found.withBoth !== null) gains.both.push(found.withBoth - found.without);
  }
  rows.push(plainRow("mean gain by edits", "points", mean(gains.edits)));
  if (withModel) rows.push(plainRow("mean gain by edits and a model", "points", mean(gains.both)));
  return rows;
}

async function run(context: BenchContext): Promise<Row[]> {
  const modelsFolder = path.join(sharedFolder, "models");
  const needed = path.join(modelsFolder, generator);
  if (!existsSync(needed)) throw new Error(`it is not here: ${needed}`);
  const data = labelledTexts(dataFile, linesMax);
  const stateFolder = await mkdtemp(path.join(tmpdir(), "llm-os-bench-augment-"));
  const log = { info: () => undefined, warn: console.warn };
  const runtime = await openRuntime({ log });
  const hub = { endpoint: "https://huggingface.co", token: null };
  const catalog = await openCatalog(
    { stateFolder, modelsFolder, hub, form: "auto", device: "cpu" },
    { runtime, log, now: Date.now },
  );
  const leases: ModelLease[] = [];
  const acquire = async (id: string) => {
    const lease = await catalog.lease(id, context.signal);
    leases.push(lease);
    return lease.model;
  };
  const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => performance.now() });
  try {
    const models = { encoder: await acquire(embedder), acquire };
    return await compare(new Trial(runner, models, context), context, data);
  } finally {
    await runner.close();
    for (const lease of leases) lease.release();
    await catalog.close();
    await rm(stateFolder, { recursive: true, force: true });
  }
}

export const bench: Bench = {
  summary: "few-shot accuracy on banking77 with augmentation and without; minutes",
  run,
};
