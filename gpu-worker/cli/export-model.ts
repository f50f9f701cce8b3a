/**
 * `npm run model -- export MODEL --out DIR`: a model as files that need nothing of ours: model.onnx with its head,
 * tokenizer.json, model.json (labels and what its numbers mean), its card, model.mjs, which runs them, and run.mjs. An
 * adapter is merged into its base; with `--merge`, the base's checkpoint too. Here of encoders; export-decoder.ts has
 * models that write.
 */
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import path from "node:path";
import type { Task } from "#contract/tasks.ts";
import { isTunedModelName } from "#contract/training/tuned-model.ts";
import { wrongBase } from "../catalog/adapter-base.ts";
import type { CatalogSettings } from "../catalog/open-catalog.ts";
import { describeBase, findBase } from "../catalog/base-model.ts";
import { adapterLimits } from "../catalog/load-adapter.ts";
import { prefixesOf } from "../architectures/encoder.ts";
import { classifierOf, type EncoderAdapter } from "../checkpoints/adapter-folder.ts";
import { type Checkpoint, identityFiles, readCheckpoint } from "../checkpoints/checkpoint.ts";
import {
  type AdapterModel,
  type AdapterOf,
  isAdapter,
  isDecoderFolder,
  readModelFolder,
} from "../checkpoints/model-folder.ts";
import { findTunedFolder } from "../downloads/tuned-folders.ts";
import type { ModelHead, Problem } from "../model/model-head.ts";
import { loadTokenizer } from "../tokenizer/tokenizer.ts";
import { writeModel } from "../onnx/write-model.ts";
import { openSafetensors } from "../weights/safetensors-reader.ts";
import { writeSafetensors } from "../weights/safetensors-writer.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { decoderWithAdapter, exportDecoder } from "./export-decoder.ts";
import { copyNamed, copyOwn, makeEmpty, writeScript, writeWeights } from "./exported-files.ts";
import { answerOutputs, graphOfAdapter, graphOfCheckpoint, partsOf } from "./exported-graph.ts";
import { expectMergeable, mergedWeights, withPromptOf } from "./merged-weights.ts";

export type ExportCommand = {
  /** A folder, or the id of a model whose files are here. */
  model: string;
  /** Made; where it is there, it must be empty. */
  out: string;
  /** The merged checkpoint of an adapter too. */
  merge: boolean;
};

type Settings = Pick<CatalogSettings, "modelsFolder" | "stateFolder">;

/** What model.mjs has to know. */
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
  /** Whether it reads two marked parts of a text, with their marks or without: marked-parts.mjs finds them. */
  parts: "marks" | "spans" | null;
  /** Ids that a text begins with, of a soft prompt. */
  virtual_tokens: number[];
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
  const folder = await folderOf(model, settings);
  const read = await readModelFolder(folder);
  if (merge && !isAdapter(read)) throw new Error("--merge is for adapters: this is a checkpoint");
  if (isDecoderFolder(read)) {
    await exportDecoder({ base: read, adapter: null }, { out, merge });
  } else if (!isAdapter(read)) {
    const described = { ...describeCheckpoint(read), cardFolder: folder, adapter: null };
    await exportEncoder(described, { out, merge });
  } else {
    await exportAdapter(read, { out, merge }, { settings, signal });
  }
  return (await readdir(out)).toSorted();
}

type Written = Pick<ExportCommand, "out" | "merge">;

async function exportAdapter(
  read: AdapterModel,
  written: Written,
  { settings, signal }: { settings: Settings; signal: AbortSignal },
): Promise<void> {
  const { adapter } = read;
  const found = await findBase(adapter.baseName, settings);
  if (adapter.kind === "decoder") {
    await exportDecoder(await decoderWithAdapter({ ...read, adapter }, found, signal), written);
    return;
  }
  const { baseDigest } = await describeBase(found, signal);
  const wrong = wrongBase(adapter, found.known.id, baseDigest);
  if (wrong !== null) throw wrong;
  const base = await readCheckpoint(found.folder);
  const description = describeAdapter(adapter, base);
  const described = { description, base, cardFolder: read.folder, adapter: { ...read, adapter } };
  await exportEncoder(described, written);
}

async function exportEncoder(exported: Exported, { out, merge }: Written): Promise<void> {
  const { base, adapter } = exported;
  if (merge) expectMergeable(adapter?.adapter.softPrompt ?? null);
  if (exported.description.word_shapes) await expectMarkedWords(base.folder);
  await makeEmpty(out);
  const opened = openSafetensors(base.weightsFile);
  try {
    const weights = adapter === null ? opened : tunedWeights(opened, base, adapter);
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
}

function tunedWeights(opened: WeightSource, base: Checkpoint, model: AdapterOf<EncoderAdapter>) {
  const { softPrompt } = model.adapter;
  return softPrompt === null
    ? mergedWeights(opened, prefixesOf(base.config), model)
    : withPromptOf(opened, model.folder, softPrompt);
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
  if (found?.isDirectory() === true) return model;
  if (!isTunedModelName(model)) return (await findBase(model, settings)).folder;
  const tuned = await findTunedFolder(settings.stateFolder, model);
  if (tuned !== null) return tuned;
  throw new Error(
    `the files of ${model} are not under ${settings.stateFolder}: call it once, which has them fetched, ` +
      "and set LLM_OS_STATE to where the service keeps its state",
  );
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
  const reading = { ...readingOf(base), word_shapes, parts: null, virtual_tokens: [] };
  const described = { task, outputs, ...labelsOf(head), ...reading };
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
    parts: partsOf(adapter),
    virtual_tokens: Array.from(
      { length: adapter.softPrompt?.tokens ?? 0 },
      (_, at) => base.limits.vocabularySize + at,
    ),
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
  await copyNamed(base.folder, out, "tokenizer.json", (folder) => {
    throw new Error(`${folder} has no tokenizer.json, which the script reads: save it as one`);
  });
  await copyNamed(base.folder, out, "tokenizer_config.json");
  await copyNamed(cardFolder, out, "README.md");
  if (description.word_shapes) await writeWordShapes(out);
  if (description.parts !== null) await copyOwn("marked-parts.mjs", out);
  await writeScript(out, "exported-encoder.mjs", description);
}

/** Ours, without its types. */
async function writeWordShapes(out: string): Promise<void> {
  const source = path.join(import.meta.dirname, "../model/word-shapes.ts");
  const text = stripTypeScriptTypes(await readFile(source, "utf8"));
  await writeFile(path.join(out, "word-shapes.mjs"), text.replaceAll(/[ \t]+$/gm, ""));
}

/** The base with the adapter in it, as transformers reads it, and the adapter's classifier beside it. */
async function writeMerged(
  out: string,
  { base, adapter }: Exported,
  weights: WeightSource,
): Promise<void> {
  for (const name of identityFiles)
    if (name !== "llm-os.json") await copyNamed(base.folder, out, name);
  await writeWeights(out, weights);
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
