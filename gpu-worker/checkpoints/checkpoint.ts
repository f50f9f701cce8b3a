/**
 * A folder with an encoder's files, read as far as can be told without its weights: what it can do, how long an input
 * may be, which files make up its identity. A folder that cannot be served is refused in words that say why.
 */
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { entailmentClasses } from "#contract/entailment.ts";
import type { ModelLimits } from "#contract/model-limits.ts";
import { sentenceTasks, type Task } from "#contract/tasks.ts";
import {
  headOfAnyFamily,
  headOfCheckpoint,
  labelsOf,
  problemOf,
  sizesOf,
  type EncoderSizes,
} from "../architectures/encoder.ts";
import { ConfigError } from "../architectures/parse-config.ts";
import { readJson } from "../files/json-file.ts";
import type { ModelHead } from "../model/model-head.ts";
import { readCardLicence } from "./card-licence.ts";
import { ConfigFile, OwnFile, TokenizerConfigFile } from "./checkpoint-files.ts";
import { readCrossEncoder } from "./cross-encoder.ts";
import { findOnnxFile, onnxNames, onnxSizes } from "./onnx-file.ts";
import {
  plainSentence,
  readModules,
  readStages,
  type Sentence,
  type Stages,
  widthOf,
} from "./sentence-stages.ts";

export type WeightsFormat = "safetensors" | "onnx";

export type Checkpoint = {
  kind: "encoder";
  folder: string;
  config: ConfigFile;
  /** Of the weights: safetensors, which a graph is built from, or a ready-made ONNX file, which runs as it is. */
  format: WeightsFormat;
  /** Path of the weights. */
  weightsFile: string;
  /** What is computed on top of the hidden states. */
  head: ModelHead;
  /** Null: it makes no sentence vectors. */
  sentence: Sentence | null;
  /** Whether texts are put into lower case before the tokenizer's own normaliser. */
  lowerCase: boolean;
  /** Files of stages after the encoder, part of its identity beside `identityFiles`. */
  stageFiles: string[];
  /** The first is its own. */
  tasks: Task[];
  limits: ModelLimits;
  licence: string | null;
  /** sha256 of the upstream f32 weights where these are another form of them. */
  derivedFrom: string | null;
  /** Id of the model that finds the entities this one relates; null: it names none. */
  entityModel: string | null;
  /** Whether its graph reads words' shapes. */
  wordShapes: boolean;
  /** Bytes of the weights. */
  sizeBytes: number;
};

/** Files besides the weights that decide what the model answers. */
export const identityFiles = [
  "config.json",
  "modules.json",
  "sentence_bert_config.json",
  "1_Pooling/config.json",
  "config_sentence_transformers.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.txt",
  "vocab.json",
  "merges.txt",
  "llm-os.json",
] as const;

const weightsName = "model.safetensors";

/** Why a folder with neither `model.safetensors` nor an ONNX file cannot be served. */
function withoutWeights(names: string[]): Error {
  const sharded = names.includes("model.safetensors.index.json");
  if (sharded) return new Error(`its weights are in several files: join them as ${weightsName}`);
  const pickled = names.find((name) => /\.(bin|pt|pth)$/.test(name));
  const hint = pickled === undefined ? "" : `: save ${pickled} in the safetensors format`;
  return new Error(
    `${weightsName} is missing${hint}; a ready-made ONNX file would do too, as one of ${onnxNames.join(", ")}`,
  );
}

export type WeightsFile = { format: WeightsFormat; file: string; bytes: number };

/** Why no graph can be built from weights with this config.json; null: one can. */
function whyNotBuilt(config: ConfigFile): string | null {
  const code = Object.entries(config.auto_map ?? {}).map(([, name]) => String(name));
  if (code.length > 0) {
    return `config.json: auto_map names code of the model's own (${code.join(", ")}), which is not run`;
  }
  try {
    headOfCheckpoint(config);
    sizesOf(config);
    return null;
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
}

/**
 * The weights, or the ready-made ONNX file where it is alone or nothing can be built of the weights.
 * @throws Error whose message completes "the folder cannot be served: …"
 */
export async function findWeights(folder: string): Promise<WeightsFile> {
  const names = await readdir(folder);
  const onnx = await findOnnxFile(folder);
  if (!names.includes(weightsName)) {
    if (onnx === null) throw withoutWeights(names);
    return { format: "onnx", ...onnx };
  }
  const config = await readJson(folder, "config.json", ConfigFile);
  const problem = config === null ? null : whyNotBuilt(config);
  if (problem !== null && onnx !== null) return { format: "onnx", ...onnx };
  if (problem !== null) throw new Error(problem);
  const file = path.join(folder, weightsName);
  const { size } = await stat(file);
  return { format: "safetensors", file, bytes: size };
}

/** By config.json; a Pooling stage of sentence-transformers makes it a sentence encoder, whatever it was before. */
function headOf(config: ConfigFile, format: WeightsFormat, stages: Stages | null): ModelHead {
  const { name } = format === "onnx" ? headOfAnyFamily(config) : headOfCheckpoint(config);
  if (stages?.sentence === null && name !== "sequence-classification") {
    const found = config.architectures?.[0] ?? "a bare encoder";
    throw new Error(`it is saved as a cross-encoder, but config.json says ${found}`);
  }
  if ((stages?.sentence ?? null) !== null || name === "none" || name === "sentence") {
    return { name: "none" };
  }
  if (name !== "sequence-classification" && name !== "token-classification") return { name };
  return { name, labels: labelsOf(config), problem: problemOf(config), linear: null };
}

/** A classifier of one label is a cross-encoder's: how well a text answers a query. */
async function withScoring(
  head: ModelHead,
  folder: string,
  config: ConfigFile,
): Promise<ModelHead> {
  if (head.name !== "sequence-classification" || head.labels.length !== 1) return head;
  return { ...head, crossEncoder: await readCrossEncoder(folder, config) };
}

function withDecoding(head: ModelHead, own: OwnFile | null): ModelHead {
  const decoding = own?.decoding;
  return head.name === "token-classification" && decoding ? { ...head, decoding } : head;
}

/** What the catalogue says of a model, where its folder is silent. */
export type CatalogueWords = { prompts?: Readonly<Record<string, string>> | undefined };

/** A folder that names no text to put before inputs gets the catalogue's. */
function withPrompts(sentence: Sentence, { prompts = {} }: CatalogueWords): Sentence {
  const own = Object.values(sentence.prompts).some((prompt) => prompt !== "");
  return own ? sentence : { ...sentence, prompts: { ...sentence.prompts, ...prompts } };
}

/** @param own the task that the folder says of itself, where its head serves several */
function tasksOf(head: ModelHead, own: Task | null): Task[] {
  switch (head.name) {
    case "none":
      return [...sentenceTasks];
    case "masked-lm":
      return ["fill-mask"];
    case "token-classification":
    case "question-answering":
      return [head.name];
    case "sequence-classification":
      if (own === "relation-extraction") return [own];
      // A single class is a cross-encoder's: how well a text answers a query.
      if (head.labels.length === 1) return ["rerank", "text-classification"];
      return entailmentClasses(head.labels) !== null
        ? ["text-classification", "zero-shot-classification"]
        : ["text-classification"];
  }
}

/**
 * @param length of the longest input by the encoder stage's own settings, which then count instead of the tokenizer's
 */
async function readLimits(
  folder: string,
  { positions, hidden, vocabulary }: EncoderSizes,
  { sentence, length }: { sentence: Sentence | null; length: number | null },
): Promise<ModelLimits> {
  const tokenizer = await readJson(folder, "tokenizer_config.json", TokenizerConfigFile);
  const own = length ?? tokenizer?.model_max_length ?? Infinity;
  const maxTokens = Math.floor(Math.min(own, positions));
  if (maxTokens < 1) throw new Error("tokenizer_config.json: model_max_length must be 1 or more");
  const dimensions = sentence === null ? null : widthOf(sentence, hidden);
  return { maxTokens, dimensions, vocabularySize: vocabulary };
}

/** @throws Error whose message completes "the folder cannot be served: …" */
export async function readCheckpoint(
  folder: string,
  words: CatalogueWords = {},
): Promise<Checkpoint> {
  const modules = await readModules(folder);
  const { format, file, bytes } = await findWeights(folder);
  const config = await readJson(folder, "config.json", ConfigFile);
  if (config === null) throw new Error("config.json is missing");
  const sizes = format === "onnx" ? onnxSizes(config) : sizesOf(config);
  const stages = modules === null ? null : await readStages(folder, modules, sizes.hidden);
  const head = await withScoring(headOf(config, format, stages), folder, config);
  const found = head.name === "none" ? (stages?.sentence ?? plainSentence) : null;
  const sentence = found === null ? null : withPrompts(found, words);
  const own = await readJson(folder, "llm-os.json", OwnFile);
  return {
    kind: "encoder",
    folder,
    config,
    format,
    weightsFile: file,
    head: withDecoding(head, own),
    sentence,
    lowerCase: stages?.encoder.lowerCase ?? false,
    stageFiles: stages?.files ?? [],
    tasks: tasksOf(head, own?.task ?? null),
    limits: await readLimits(folder, sizes, {
      sentence,
      length: stages?.encoder.maxTokens ?? null,
    }),
    licence: own?.licence ?? (await readCardLicence(folder)),
    derivedFrom: own?.derivedFrom ?? null,
    entityModel: own?.entity_model ?? null,
    wordShapes: own?.word_shapes ?? false,
    sizeBytes: bytes,
  };
}
