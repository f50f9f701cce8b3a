/**
 * Checkpoints saved by sentence-transformers and transformers, every family and head, through the catalog and the
 * pipelines of their tasks, against what those libraries answered (library-checkpoints/make_checkpoints.py): within
 * 1e-4, or refused by name. Some sentence encoders also as a ready-made ONNX file, which gets the same stages.
 */
import { readFileSync } from "node:fs";
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { type TaskInput, type TaskParameters, tasks } from "../../contract/tasks.ts";
import { buildEncoder } from "../../gpu-worker/architectures/encoder.ts";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import type { Pipeline } from "../../gpu-worker/pipelines/pipeline.ts";
import { pipelines } from "../../gpu-worker/pipelines/pipelines.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { type CatalogBench, never, openCatalogBench, stateOf } from "../catalog/catalog-bench.ts";

const root = path.join(import.meta.dirname, "library-checkpoints");
const tolerance = 1e-4;

const Call = z.object({
  task: z.enum([
    "feature-extraction",
    "sentence-similarity",
    "zero-shot-classification",
    "rerank",
    "text-classification",
    "token-classification",
    "question-answering",
    "fill-mask",
  ]),
  inputs: z.array(z.unknown()),
  parameters: z.record(z.string(), z.unknown()),
  outputs: z.array(z.unknown()),
});
type Call = z.infer<typeof Call>;
const Expected = z.record(z.string(), z.union([z.array(Call), z.object({ refused: z.string() })]));

const expected = ["expected.json", "expected-answers.json"].flatMap((file) =>
  Object.entries(Expected.parse(JSON.parse(readFileSync(path.join(root, file), "utf8")))),
);
const answered = expected.flatMap(([name, calls]) =>
  Array.isArray(calls) ? [{ name, calls }] : [],
);
const refused = expected.flatMap(([name, given]) =>
  Array.isArray(given) ? [] : [{ name, words: given.refused }],
);

/** Served from an ONNX file too: by the simplest and by the oddest stages. */
const asOnnx = [
  "st-bert-mean-normalize",
  "st-bert-two-poolings-dense-layer-norm",
  "st-bert-without-prompt",
  "st-electra-truncated",
];

let bench: CatalogBench;
let catalog: Catalog;
let largest = 0;

async function writeOnnx(name: string): Promise<void> {
  const folder = bench.local(`${name}-onnx`);
  await cp(path.join(root, name), folder, { recursive: true });
  const weightsFile = path.join(folder, "model.safetensors");
  const config: unknown = JSON.parse(await readFile(path.join(folder, "config.json"), "utf8"));
  const weights = openSafetensors(weightsFile);
  const graph = buildEncoder(config, weights, { head: { name: "none" }, form: "f32" });
  await writeFile(path.join(folder, "model.onnx"), encodeModelProto(graph));
  weights.close();
  await rm(weightsFile);
}

beforeAll(async () => {
  bench = await openCatalogBench();
  for (const { name } of [...answered, ...refused]) {
    await cp(path.join(root, name), bench.local(name), { recursive: true });
  }
  for (const name of asOnnx) await writeOnnx(name);
  catalog = await bench.open();
});

afterAll(async () => {
  await bench.close();
  console.info(`library checkpoints: largest difference ${largest.toExponential(1)}`);
});

async function answer<T extends Call["task"]>(id: string, task: T, call: Call) {
  const lease = await catalog.lease(id, never);
  try {
    const { input, parameters } = tasks[task];
    const request = {
      task,
      inputs: call.inputs.map((each) => input.parse(each)) as TaskInput<T>[],
      parameters: parameters.parse(call.parameters) as TaskParameters<T>,
    };
    const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
    const pipeline: Pipeline<T> = pipelines[task];
    if (pipeline.kind === "direct" || pipeline.kind === "file")
      throw new Error(`${task} runs no model`);
    const { outputs } = await runner.run(pipeline, request, lease.model, { signal: never });
    return task === "feature-extraction" ? outputs.map((each) => vectorOf(String(each))) : outputs;
  } finally {
    lease.release();
  }
}

function vectorOf(base64: string): number[] {
  const bytes = Uint8Array.from(Buffer.from(base64, "base64"));
  return [...new Float32Array(bytes.buffer)];
}

/** `found` with each number as in `wanted` where it is near enough, so that only what differs is shown. */
function near(found: unknown, wanted: unknown): unknown {
  if (typeof found === "number" && typeof wanted === "number") {
    const difference = Math.abs(found - wanted);
    if (!(difference <= tolerance)) return found;
    largest = Math.max(largest, difference);
    return wanted;
  }
  if (Array.isArray(found) && Array.isArray(wanted)) {
    return found.map((each, at) => near(each, wanted[at]));
  }
  const [mine, theirs] = [Fields.safeParse(found), Fields.safeParse(wanted)];
  if (!mine.success || !theirs.success) return found;
  // Fields that the library has not, such as both names of an entity's class, are ours.
  const shared = Object.keys(theirs.data);
  return Object.fromEntries(shared.map((key) => [key, near(mine.data[key], theirs.data[key])]));
}

const Fields = z.record(z.string(), z.unknown());

async function compare(id: string, calls: readonly Call[]): Promise<void> {
  for (const call of calls) {
    const found = await answer(id, call.task, call);
    expect.soft(near(found, call.outputs), JSON.stringify(call.parameters)).toEqual(call.outputs);
  }
}

describe("answered as by the library that saved it", () => {
  it.each(answered)("$name", ({ name, calls }) => compare(name, calls));
});

describe("answered alike from a ready-made ONNX file", () => {
  it.each(answered.filter(({ name }) => asOnnx.includes(name)))("$name", ({ name, calls }) =>
    compare(`${name}-onnx`, calls),
  );
});

describe("refused by name", () => {
  it.each(refused)("$name", async ({ name, words }) => {
    await expect(catalog.lease(name, never)).rejects.toThrow(words);
    expect(stateOf(catalog, name).status).toBe("failed");
  });
});
