/**
 * `npm run model -- export MODEL --out DIR`: an encoder as files that need nothing of ours: model.onnx with its head,
 * tokenizer.json, model.json (labels and what its numbers mean), its card, and run.mjs, a script that runs them. An
 * adapter is merged into its base; with `--merge`, the base's checkpoint too.
 */
import { copyFile, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import path from "node:path";
import type { Task } from "#contract/tasks.ts";
import type { CatalogSettings } from "../catalog/open-catalog.ts";
import { describeBase, findBase } from "../catalog/base-model.ts";
import { adapterLimits } from "../catalog/load-adapter.ts";
import { classifierOf, type EncoderAdapter } from "../checkpoints/adapter-folder.ts";
import { type Checkpoint, identityFiles, readCheckpoint } from "../checkpoints/checkpoint.ts";
import {
  type AdapterOf,
  isAdapter,
  isDecoderFolder,
  readModelFolder,
} from "../checkpoints/model-folder.ts";
import type { ModelHead, Problem } from "../model/model-head.ts";
import { loadTokenizer } from "../tokenizer/tokenizer.ts";
import { writeModel } from "../onnx/write-model.ts";
import { openSafetensors } from "../weights/safetensors-reader.ts";
import { type TensorToWrite, writeSafetensors } from "../weights/safetensors-writer.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { answerOutputs, graphOfAdapter, graphOfCheckpoint } from "./exported-graph.ts";
import { mergedWeights } from "./merged-weights.ts";

export type ExportCommand = {
  /** A folder, or the id of a model whose files are here. */
  model: string;
  /** Made; where it is there, it must be empty. */
  out: string;
  /** The merged checkpoint of an adapter too. */
  merge: boolean;
};

type Settings = Pick<CatalogSettings, "modelsFolder" | "stateFolder">;

/** What run.mjs has to know. */
type Description = {
  task: Task;
  outputs: string[];
  /** Of a row's numbers, in order; null: they have none. */
  labels: readonly string[] | null;
  /** What makes scores of logits. */
  scores: "softmax" | "sigmoid" | "none";
  /** A row for each token; else one for the text. */
  per_token: boolean;
  max_tokens: number;
  lower_case: boolean;
  /** Whether it reads the shape of each token's word: word-shapes.mjs makes them. */
  word_shapes: boolean;
};

type Exported = {
  description: Description;
  /** Where the tokenizer is. */
  base: Checkpoint;
  cardFolder: string;
  /** Null: a checkpoint. */
  adapter: AdapterOf<EncoderAdapter> | null;
};

/** @throws Error in words for people */
export async function runExport(
  { model, out, merge }: ExportCommand,
  settings: Settings,
  signal: AbortSignal,
): Promise<string[]> {
  const exported = await describe(await folderOf(model, settings), settings, signal);
  const { base, adapter } = exported;
  if (merge && adapter === null) throw new Error("--merge is for adapters: this is a checkpoint");
  if (exported.description.word_shapes) await expectMarkedWords(base.folder);
  await makeEmpty(out);
  const opened = openSafetensors(base.weightsFile);
  try {
    const weights = adapter === null ? opened : mergedWeights(opened, base, adapter);
    const graph =
      adapter === null
        ? graphOfCheckpoint(base, weights)
        : graphOfAdapter(base, weights, adapter.adapter);
    await writeModel(graph, path.join(out, "model.onnx"));
    if (merge && adapter !== null)
      await writeMerged(path.join(out, "checkpoint"), exported, weights);
  } finally {
    opened.close();
  }
  await writeRest(out, exported);
  return (await readdir(out)).toSorted();
}

/** @throws Error where words are told apart as word-shapes.mjs does not */
async function expectMarkedWords(folder: string): Promise<void> {
  const { marksContinuation } = await loadTokenizer(folder);
  if (marksContinuation) return;
  throw new Error(
    "it reads words' shapes, by words that its tokenizer does not mark: not exported",
  );
}

async function folderOf(model: string, settings: Settings): Promise<string> {
  const found = await stat(model).catch(() => null);
  return found?.isDirectory() === true ? model : (await findBase(model, settings)).folder;
}

async function makeEmpty(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  if ((await readdir(folder)).length === 0) return;
  throw new Error(`${folder} is not empty: choose another --out`);
}

async function describe(
  folder: string,
  settings: Settings,
  signal: AbortSignal,
): Promise<Exported> {
  const read = await readModelFolder(folder);
  if (isDecoderFolder(read)) {
    throw new Error(
      "a model that writes is not exported: its checkpoint is read by transformers as it is",
    );
  }
  if (!isAdapter(read)) return { ...describeCheckpoint(read), cardFolder: folder, adapter: null };
  const { adapter } = read;
  if (adapter.kind === "decoder") {
    throw new Error("an adapter of a model that writes is not exported: PEFT reads it as it is");
  }
  const found = await findBase(adapter.baseName, settings);
  const { baseDigest } = await describeBase(found, signal);
  if (baseDigest !== adapter.baseDigest) {
    throw new Error(
      `it was tuned on ${adapter.baseName} with sha256 ${adapter.baseDigest}, but the weights here have ${baseDigest}`,
    );
  }
  const base = await readCheckpoint(found.folder);
  return {
    description: describeAdapter(adapter, base),
    base,
    cardFolder: folder,
    adapter: { ...read, adapter },
  };
}

const classifies: readonly Task[] = ["text-classification", "relation-extraction"];

function describeCheckpoint(base: Checkpoint): Pick<Exported, "description" | "base"> {
  const { head, tasks, sentence, format } = base;
  if (format !== "safetensors")
    throw new Error("its weights are an ONNX file already: nothing to export");
  const task = tasks.find((each) => isExported(each));
  if (task === undefined) {
    throw new Error(`it does ${tasks.join(", ")}: none of these has a script yet`);
  }
  const outputs =
    sentence !== null
      ? ["sentence_embedding"]
      : head.name === "question-answering"
        ? answerOutputs
        : ["logits"];
  const { wordShapes: word_shapes } = base;
  const described = { task, outputs, ...labelsOf(head), ...readingOf(base), word_shapes };
  return { base, description: { ...described, max_tokens: base.limits.maxTokens } };
}

function isExported(task: Task): boolean {
  const others: readonly Task[] = [
    "token-classification",
    "question-answering",
    "feature-extraction",
  ];
  return classifies.includes(task) || others.includes(task);
}

function describeAdapter(adapter: EncoderAdapter, base: Checkpoint): Description {
  const { task, labels, problem } = adapter;
  const answers = task === "question-answering";
  return {
    task,
    outputs: answers ? answerOutputs : ["logits"],
    ...(answers ? unlabelled : scoresOf(labels, problem, task === "token-classification")),
    ...readingOf(base),
    word_shapes: adapter.wordShapes,
    max_tokens: adapterLimits(adapter, base.limits).maxTokens,
  };
}

const readingOf = ({ lowerCase }: Checkpoint) => ({ lower_case: lowerCase });

type Scores = Pick<Description, "labels" | "scores" | "per_token">;

const unlabelled: Scores = { labels: null, scores: "none", per_token: false };

function labelsOf(head: ModelHead): Scores {
  if (!("labels" in head)) return unlabelled;
  return scoresOf(head.labels, head.problem, head.name === "token-classification");
}

/** As the pipelines make scores of logits. */
function scoresOf(labels: readonly string[], problem: Problem, perToken: boolean): Scores {
  const single = problem === "single_label" && labels.length > 1;
  const scores = problem === "regression" ? "none" : single || perToken ? "softmax" : "sigmoid";
  return { labels, scores, per_token: perToken };
}

async function writeRest(out: string, { base, cardFolder, description }: Exported): Promise<void> {
  await copy(base.folder, out, "tokenizer.json", (folder) => {
    throw new Error(`${folder} has no tokenizer.json, which the script reads: save it as one`);
  });
  await copy(base.folder, out, "tokenizer_config.json");
  await copy(cardFolder, out, "README.md");
  if (description.word_shapes) await writeWordShapes(out);
  await writeFile(path.join(out, "model.json"), `${JSON.stringify(description, null, 2)}\n`);
  await copyFile(path.join(import.meta.dirname, "run-exported.mjs"), path.join(out, "run.mjs"));
}

/** Ours, without its types. */
async function writeWordShapes(out: string): Promise<void> {
  const source = path.join(import.meta.dirname, "../model/word-shapes.ts");
  const text = stripTypeScriptTypes(await readFile(source, "utf8"));
  await writeFile(path.join(out, "word-shapes.mjs"), text.replaceAll(/[ \t]+$/gm, ""));
}

async function copy(
  from: string,
  to: string,
  name: string,
  onAbsent: (folder: string) => void = () => undefined,
): Promise<void> {
  if ((await stat(path.join(from, name)).catch(() => null)) === null) return onAbsent(from);
  await mkdir(path.dirname(path.join(to, name)), { recursive: true });
  await copyFile(path.join(from, name), path.join(to, name));
}

/** The base with the adapter in it, as transformers reads it, and the adapter's classifier beside it. */
async function writeMerged(
  out: string,
  { base, adapter }: Exported,
  weights: WeightSource,
): Promise<void> {
  for (const name of identityFiles) if (name !== "llm-os.json") await copy(base.folder, out, name);
  await mkdir(out, { recursive: true });
  const tensors = weights.names().flatMap((name): TensorToWrite[] => {
    const entry = weights.entry(name);
    if (entry === null) return [];
    return [{ name, dtype: entry.dtype, shape: entry.shape, load: () => weights.read(name).data }];
  });
  await writeSafetensors(path.join(out, "model.safetensors"), tensors);
  if (adapter === null) return;
  const { weight, bias, task } = adapter.adapter;
  const layer = classifierOf(task);
  await writeSafetensors(path.join(out, "classifier.safetensors"), [
    {
      name: `${layer}.weight`,
      dtype: "float32",
      shape: [bias.length, weight.length / bias.length],
      load: () => weight,
    },
    { name: `${layer}.bias`, dtype: "float32", shape: [bias.length], load: () => bias },
  ]);
}
