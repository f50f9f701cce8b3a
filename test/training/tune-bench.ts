/** The command `tune` on small models and made-up data, and what it wrote served by the worker's own classes. */
import { copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { TrainingReport } from "#contract/training/evaluation-report.ts";
import type { Label } from "#contract/tasks/fields.ts";
import { readFileSync } from "node:fs";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { runTune, type TuneCommand } from "../../gpu-worker/cli/tune.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { textClassification } from "../../gpu-worker/pipelines/text-classification.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { acquireEncoder } from "../catalog/acquire-encoder.ts";
import { type CatalogBench, never } from "../catalog/catalog-bench.ts";
import { randomFrom } from "../random-from.ts";

const log = { info: () => undefined, warn: () => undefined };
const runtime = openRuntime({ log, only: "c-api", threads: 1 });
const words = ["a", "quick", "brown", "fox", "foxs", "lazy", "dog"];

/** Texts that differ, of two to nine words. */
export function madeTexts(count: number): string[] {
  const below = randomFrom(7);
  const texts = new Set<string>();
  while (texts.size < count) {
    const length = 2 + below(8);
    texts.add(Array.from({ length }, () => words[below(words.length)] ?? "").join(" "));
  }
  return [...texts];
}

export async function writeLines(file: string, lines: readonly object[]): Promise<string> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  return file;
}

export const usualCommand = {
  validation: null,
  task: null,
  strategy: "full",
  layers: null,
  epochs: 3,
  learningRate: 1e-2,
  learningRateMultiplier: 1,
  lora: null,
  patience: null,
  threshold: 0,
  skipInvalid: false,
  batch: 16,
  seed: 0,
  maxSeconds: 900,
  saveSeconds: 60,
} as const;

/** Whatever is tuned is measured as it is served. @returns what it said */
export async function tune(
  bench: CatalogBench,
  command: Pick<TuneCommand, "model" | "data" | "out"> & Partial<TuneCommand>,
  signal: AbortSignal = never,
  onLine: (line: string) => void = () => undefined,
): Promise<string[]> {
  const said: string[] = [];
  const stream = Object.assign(Object.create(process.stderr), { write: () => true, isTTY: false });
  const say = (line: string) => {
    said.push(line);
    onLine(line);
  };
  const tools = { settings: bench.settings, memoryBytes: 2e9, signal, stream, say };
  await runTune({ ...usualCommand, ...command }, { ...tools, runtime: await runtime });
  const { unserved } = reportOf(command.out);
  if (unserved !== null) throw new Error(`it was not measured as it is served: ${unserved}`);
  return said;
}

export function reportOf(folder: string): TrainingReport {
  return TrainingReport.parse(JSON.parse(readFileSync(path.join(folder, "report.json"), "utf8")));
}

/** Each text's labels with their scores, the best first. */
export async function classify(
  catalog: Catalog,
  id: string,
  inputs: readonly string[],
): Promise<Label[][]> {
  const model = await acquireEncoder(catalog, id);
  const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
  const task = "text-classification" as const;
  const request = { task, inputs: [...inputs], parameters: { truncate: true } };
  const { outputs } = await runner.run(textClassification, request, model, { signal: never });
  return outputs;
}

export async function copyFolder(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const name of await readdir(from))
    await copyFile(path.join(from, name), path.join(to, name));
}

/** Of tensors. */
export function namesIn(folder: string, file = "model.safetensors"): string[] {
  const source = openSafetensors(path.join(folder, file));
  const names = source.names().toSorted();
  source.close();
  return names;
}
