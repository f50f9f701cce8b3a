/**
 * A folder with a model's files, read as far as can be told without its weights: what it can do, how long an input may
 * be, which files make up its identity. A folder that cannot be served is refused in words that say why.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import type { ModelLimits } from "#contract/models.ts";
import { sentenceTasks, type Task } from "#contract/tasks.ts";
import { encoderFamilies, headOfCheckpoint } from "../architectures/encoder.ts";
import { ConfigFile, OwnFile, readJson, TokenizerConfigFile } from "./checkpoint-files.ts";
import { readSentenceStages, type Sentence } from "./sentence-stages.ts";

export type Checkpoint = {
  folder: string;
  config: ConfigFile;
  /** Path of the weights, in the safetensors format. */
  weightsFile: string;
  sentence: Sentence;
  tasks: Task[];
  limits: ModelLimits;
  licence: string | null;
  /** sha256 of the upstream f32 weights where these are another form of them. */
  derivedFrom: string | null;
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
] as const;

const weightsName = "model.safetensors";

/** Why a folder without `model.safetensors` cannot be served. */
function withoutWeights(names: string[]): Error {
  const gguf = names.find((name) => name.endsWith(".gguf"));
  if (gguf !== undefined) {
    return new Error(`it holds ${gguf}: models in the GGUF format are not served, only encoders`);
  }
  const sharded = names.includes("model.safetensors.index.json");
  if (sharded) return new Error(`its weights are in several files: join them as ${weightsName}`);
  const pickled = names.find((name) => /\.(bin|pt|pth)$/.test(name));
  const hint = pickled === undefined ? "" : `: save ${pickled} in the safetensors format`;
  return new Error(`${weightsName} is missing${hint}`);
}

async function readWeights(folder: string): Promise<{ file: string; bytes: number }> {
  const names = await readdir(folder);
  if (!names.includes(weightsName)) throw withoutWeights(names);
  const file = path.join(folder, weightsName);
  const { size } = await stat(file);
  return { file, bytes: size };
}

/** A plain encoder gets what sentence-transformers gives it: the mean over the tokens, not scaled. */
function plainSentence(config: ConfigFile): Sentence {
  if (headOfCheckpoint(config).name !== "none") {
    throw new Error(`it is a ${config.architectures?.[0]}: only sentence encoders are served`);
  }
  return { pooling: "mean", normalize: false, prompts: {}, maxTokens: null };
}

async function readLimits(
  folder: string,
  config: ConfigFile,
  sentence: Sentence,
): Promise<ModelLimits> {
  const tokenizer = await readJson(folder, "tokenizer_config.json", TokenizerConfigFile);
  const bounds = [
    sentence.maxTokens ?? Infinity,
    tokenizer?.model_max_length ?? Infinity,
    config.max_position_embeddings ?? Infinity,
  ];
  const maxTokens = Math.floor(Math.min(...bounds));
  if (!Number.isSafeInteger(maxTokens) || maxTokens < 1) {
    throw new Error("config.json sets no max_position_embeddings");
  }
  return { maxTokens, dimensions: config.hidden_size, vocabularySize: config.vocab_size };
}

/** The `license:` line of a model card. */
async function readCardLicence(folder: string): Promise<string | null> {
  const card = await readFile(path.join(folder, "README.md"), "utf8").catch(() => "");
  const front = /^---\r?\n([\s\S]*?)\r?\n---/.exec(card)?.[1] ?? "";
  return /^license:\s*["']?([\w.-]{1,100})["']?\s*$/m.exec(front)?.[1] ?? null;
}

/** @throws Error whose message completes "the folder cannot be served: …" */
export async function readCheckpoint(folder: string): Promise<Checkpoint> {
  const weights = await readWeights(folder);
  const config = await readJson(folder, "config.json", ConfigFile);
  if (config === null) throw new Error("config.json is missing");
  if (!encoderFamilies.includes(config.model_type)) {
    const served = encoderFamilies.join(", ");
    throw new Error(`its model_type is ${config.model_type}: only ${served} is served`);
  }
  const sentence = (await readSentenceStages(folder)) ?? plainSentence(config);
  const own = await readJson(folder, "llm-os.json", OwnFile);
  return {
    folder,
    config,
    weightsFile: weights.file,
    sentence,
    tasks: [...sentenceTasks],
    limits: await readLimits(folder, config, sentence),
    licence: own?.licence ?? (await readCardLicence(folder)),
    derivedFrom: own?.derivedFrom ?? null,
    sizeBytes: weights.bytes,
  };
}
