/**
 * A tuned head in a folder of its own, in the layout of Hugging Face's PEFT library: `adapter_config.json` names the
 * base, `adapter_model.safetensors` holds the classifier and, where more was tuned, the base's layers of LoRA
 * (lora-config.ts) or a soft prompt (soft-prompt-config.ts); `llm-os.json` says what PEFT has no field for. Whether the
 * base is the one here is not checked here: `baseDigest` tells.
 */
import { mkdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";
import { shapeTable } from "../architectures/embedding.ts";
import { peftPrefix } from "../architectures/trainable-layers.ts";
import { Sha256 } from "../files/file-digest.ts";
import { readJson } from "../files/json-file.ts";
import { writeAtomically } from "../files/write-atomically.ts";
import { type Problem, problems, type TagDecoding, tagDecodings } from "../model/model-head.ts";
import { type HeadPooling, headPoolings } from "../model/pooling.ts";
import { type TensorToWrite, writeSafetensors } from "../weights/safetensors-writer.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { AdapterId, adapterFiles, readAdapterWeights, readFinite } from "./adapter-files.ts";
import { causalLanguageModel, type DecoderAdapter, readDecoderAdapter } from "./decoder-adapter.ts";
import { checkLoraConfig, loraFields, type LoraLayer, readLoraLayers } from "./lora-config.ts";
import {
  promptConfig,
  promptTuning,
  readSoftPrompt,
  type SoftPrompt,
  softPromptFields,
  type TrainedPrompt,
} from "./soft-prompt-config.ts";

/** Tasks a linear head can do, with PEFT's name of each. */
const taskTypes = {
  "text-classification": "SEQ_CLS",
  "relation-extraction": "SEQ_CLS",
  "token-classification": "TOKEN_CLS",
  "question-answering": "QUESTION_ANS",
} as const;

/** That a soft prompt is for: of others, places in the text would have to be told from those of the prompt. */
export const promptTask = "text-classification";

const AdapterTask = z.enum(Object.keys(taskTypes) as [keyof typeof taskTypes]);
export type AdapterTask = z.infer<typeof AdapterTask>;

/** What is computed of each token by itself. */
const tokenTasks: readonly AdapterTask[] = ["token-classification", "question-answering"];

/** Rows of a classifier that finds answers, as transformers has them. */
export const answerEnds: readonly string[] = ["start", "end"];

/** The layer that is the head, as the class of transformers for the task calls it. */
export function classifierOf(task: AdapterTask): string {
  return task === "question-answering" ? "qa_outputs" : "classifier";
}

/** adapter_config.json: what we rely on of PEFT's many fields. */
export const AdapterConfigFile = z.looseObject({
  peft_type: z.string(),
  task_type: z.string(),
  base_model_name_or_path: z.string().min(1).max(200),
  modules_to_save: z.array(z.string()).nullish(),
  ...loraFields,
  ...softPromptFields,
});
type AdapterConfigFile = z.infer<typeof AdapterConfigFile>;

/** llm-os.json beside it. */
export const AdapterOwnFile = z.looseObject({
  formatVersion: z.literal(1),
  /** By which the model is asked for; absent: by the folder's name, which on some systems may hold no colon. */
  id: AdapterId.nullish(),
  task: AdapterTask,
  /** By row of the classifier. */
  labels: z
    .array(z.string().min(1).max(1_000))
    .min(1)
    .max(10_000)
    .refine((labels) => new Set(labels).size === labels.length, "a label stands there twice"),
  problem: z.enum(problems),
  /**
   * How token vectors become the features: `spans` are head, tail and whole text side by side; `none` is each token's
   * own; `marks` are as `spans`, of the text written with its marks, which count with the part that they mark.
   */
  pooling: z.enum(headPoolings),
  /** Tokens, special ones included. */
  max_length: z.int().positive().max(1_000_000),
  /** sha256 of the base's upstream f32 weights file. */
  base_digest: Sha256,
  licence: z.string().min(1).max(100).nullish(),
  /** Id of the model that finds the entities this one relates. */
  entity_model: z.string().min(1).max(200).nullish(),
  /** Whether its weights hold a table of words' shapes (model/word-shapes.ts). */
  word_shapes: z.boolean().nullish(),
  /** Of a tagger: how its tags are chosen. Absent: each word's surest. */
  decoding: z.enum(tagDecodings).nullish(),
});
type AdapterOwnFile = z.infer<typeof AdapterOwnFile>;

/** An adapter that leaves the layers of its base as they are. */
export type AdapterHead = {
  task: AdapterTask;
  labels: string[];
  problem: Problem;
  pooling: HeadPooling;
  /** Tokens, special ones included. */
  maxLength: number;
  /** sha256 of the base's upstream f32 weights file. */
  baseDigest: string;
  /** Id or hub name of the base. */
  baseName: string;
  licence: string | null;
  /** Id of the model that finds the entities this one relates. */
  entityModel: string | null;
  /** Whether it reads words' shapes, by a table of its own. Absent: it does not. */
  wordShapes?: boolean;
  /** Of a tagger. Absent or null: each word's surest class. */
  decoding?: TagDecoding | null;
  /** f32 [labels, features]. */
  weight: Float32Array;
  /** f32 [labels]. */
  bias: Float32Array;
};

export type EncoderAdapter = AdapterHead & {
  kind: "encoder";
  /** What llm-os.json says; null: its folder's name. */
  id: string | null;
  wordShapes: boolean;
  /** What it changes of its base. None: it is a head alone. */
  lora: readonly LoraLayer[];
  /** What its texts begin with; null: nothing. */
  softPrompt: SoftPrompt | null;
};

export type Adapter = EncoderAdapter | DecoderAdapter;

/** Of a base that is not wrapped: nothing in it has changed. */
const promptPrefix = "base_model.";

function headNames(task: AdapterTask, kind: string) {
  const layer = `${kind === promptTuning ? promptPrefix : peftPrefix}${classifierOf(task)}`;
  return { weight: `${layer}.weight`, bias: `${layer}.bias` };
}

function checkConfig(config: AdapterConfigFile, task: AdapterTask): void {
  const { peft_type: kind, task_type: type } = config;
  if (kind !== "LORA" && kind !== promptTuning) {
    throw new Error(
      `${adapterFiles.config}: peft_type ${kind} is not served: only LORA and ${promptTuning} are`,
    );
  }
  if (kind === "LORA") checkLoraConfig(config, adapterFiles.config);
  else if (task !== promptTask) {
    throw new Error(`${adapterFiles.config}: ${promptTuning} is served for ${promptTask} alone`);
  }
  if (type === taskTypes[task]) return;
  throw new Error(
    `${adapterFiles.config}: task_type is ${type}, but ${task} in ${adapterFiles.own} needs ${taskTypes[task]}`,
  );
}

function checkLabels({ labels, problem, pooling, task }: AdapterOwnFile): void {
  const one = labels.length === 1;
  if (one && problem === "single_label") {
    throw new Error(`${adapterFiles.own}: labels: single_label needs at least two`);
  }
  if (!one && problem === "regression") {
    throw new Error(
      `${adapterFiles.own}: labels: regression needs one, there are ${labels.length}`,
    );
  }
  if (task === "question-answering" && labels.join() !== answerEnds.join()) {
    throw new Error(`${adapterFiles.own}: labels: ${task} has ${answerEnds.join(" and ")}`);
  }
  if ((pooling === "none") === tokenTasks.includes(task)) return;
  throw new Error(`${adapterFiles.own}: pooling ${pooling} does not fit the task ${task}`);
}

function checkHead(
  source: WeightSource,
  names: ReturnType<typeof headNames>,
  { length: labels }: AdapterOwnFile["labels"],
): void {
  const weight = source.entry(names.weight)?.shape;
  const bias = source.entry(names.bias)?.shape;
  if (weight === undefined) throw new Error(`${names.weight} is missing`);
  if (bias === undefined) throw new Error(`${names.bias} is missing`);
  const [rows, features, ...more] = weight;
  if (rows !== labels || features === undefined || features === 0 || more.length > 0) {
    throw new Error(`${names.weight} is [${weight.join(", ")}], expected [${labels}, features]`);
  }
  if (bias.join() === String(labels)) return;
  throw new Error(`${names.bias} is [${bias.join(", ")}], expected [${labels}]`);
}

/** Whether a tensor is an adapter's table of word shapes, by its name. */
export function isShapeTable(name: string): boolean {
  return name.startsWith(peftPrefix) && name.endsWith(shapeTable);
}

/** @throws Error where the table is there unsaid, or said and not there */
function checkShapes(tables: readonly string[], { word_shapes: said }: AdapterOwnFile): void {
  const [table] = tables;
  if (tables.length === (said === true ? 1 : 0)) return;
  throw new Error(
    table === undefined
      ? `the table of word shapes is missing, which word_shapes in ${adapterFiles.own} says is there`
      : `${table} is served with word_shapes: true in ${adapterFiles.own}, and one table alone`,
  );
}

function readWeights(
  source: WeightSource,
  own: AdapterOwnFile,
  config: AdapterConfigFile,
): Pick<EncoderAdapter, "weight" | "bias" | "lora" | "softPrompt"> {
  const { peft_type: kind } = config;
  const head = headNames(own.task, kind);
  checkHead(source, head, own.labels);
  checkShapes(source.names().filter(isShapeTable), own);
  const others = source
    .names()
    .filter((name) => name !== head.weight && name !== head.bias && !isShapeTable(name));
  const prompted = kind === promptTuning;
  return {
    weight: readFinite(source, head.weight),
    bias: readFinite(source, head.bias),
    lora: prompted
      ? []
      : readLoraLayers(source, others, config, "the classifier and layers of LoRA are"),
    softPrompt: prompted ? readSoftPrompt(source, others, config, adapterFiles.config) : null,
  };
}

/**
 * @returns null where the folder holds no adapter
 * @throws Error whose message completes "the folder cannot be served: …"
 */
export async function readAdapter(folder: string): Promise<Adapter | null> {
  const config = await readJson(folder, adapterFiles.config, AdapterConfigFile);
  if (config === null) return null;
  if (config.task_type === causalLanguageModel) return readDecoderAdapter(folder, config);
  const own = await readJson(folder, adapterFiles.own, AdapterOwnFile);
  if (own === null) {
    throw new Error(`${adapterFiles.own} is missing: it says the task, the labels and the base`);
  }
  checkConfig(config, own.task);
  checkLabels(own);
  return {
    kind: "encoder",
    id: own.id ?? null,
    task: own.task,
    labels: own.labels,
    problem: own.problem,
    pooling: own.pooling,
    maxLength: own.max_length,
    baseDigest: own.base_digest,
    baseName: config.base_model_name_or_path,
    licence: own.licence ?? null,
    entityModel: own.entity_model ?? null,
    wordShapes: own.word_shapes ?? false,
    decoding: own.decoding ?? null,
    ...readAdapterWeights(folder, (source) => readWeights(source, own, config)),
  };
}

function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Layers of LoRA as they were trained. */
export type TrainedLora = {
  readonly rank: number;
  readonly alpha: number;
  /** Names of layers, or their last parts. */
  readonly targets: readonly string[];
  /** Under PEFT's names. */
  readonly tensors: readonly TensorToWrite[];
};

/** Of an adapter without layers of its own a target that is none. */
function loraConfig(lora: TrainedLora | null) {
  return {
    peft_type: "LORA",
    r: lora?.rank ?? 1,
    ...(lora !== null && { lora_alpha: lora.alpha, lora_dropout: 0, bias: "none" }),
    target_modules: lora?.targets ?? "dummy-target-modules",
  };
}

type Trained = TrainedLora | TrainedPrompt;

function isPrompt(trained: Trained | null): trained is TrainedPrompt {
  return trained !== null && "virtualTokens" in trained;
}

/** What PEFT writes. */
function configOf({ task, baseName }: AdapterHead, trained: Trained | null) {
  return {
    ...(isPrompt(trained) ? promptConfig(trained) : loraConfig(trained)),
    task_type: taskTypes[task],
    base_model_name_or_path: baseName,
    modules_to_save: [classifierOf(task)],
    inference_mode: true,
  };
}

function ownOf(adapter: AdapterHead): AdapterOwnFile {
  const { task, labels, problem, pooling, maxLength, baseDigest, licence, entityModel } = adapter;
  const optional = {
    ...(entityModel !== null && { entity_model: entityModel }),
    ...(adapter.wordShapes === true && { word_shapes: true }),
    ...(adapter.decoding && { decoding: adapter.decoding }),
  };
  return AdapterOwnFile.parse({
    formatVersion: 1,
    task,
    labels,
    problem,
    pooling,
    max_length: maxLength,
    base_digest: baseDigest,
    licence,
    ...optional,
  });
}

async function writeWeights(file: string, tensors: readonly TensorToWrite[]): Promise<void> {
  const neighbour = `${file}.tmp`;
  try {
    await writeSafetensors(neighbour, tensors, { format: "pt" });
    await rename(neighbour, file);
  } catch (error) {
    await rm(neighbour, { force: true });
    throw error;
  }
}

export type AdapterFiles = {
  readonly tensors: readonly TensorToWrite[];
  /** README.md. */
  readonly card: string;
  /** llm-os.json. */
  readonly own: object;
  /** adapter_config.json. */
  readonly config: object;
};

/** The config comes last, because it makes the folder an adapter: nobody takes one that is half written. */
export async function writeAdapterFiles(
  folder: string,
  { tensors, card, own, config }: AdapterFiles,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const write = (name: string, content: string) =>
    writeAtomically(path.join(folder, name), content);
  await writeWeights(path.join(folder, adapterFiles.weights), tensors);
  await write(adapterFiles.card, card);
  await write(adapterFiles.own, json(own));
  await write(adapterFiles.config, json(config));
}

/**
 * @param card README.md
 * @param trained null: a head alone
 * @throws where it is no adapter that could be read again
 */
export async function writeAdapter(
  folder: string,
  adapter: AdapterHead,
  card: string,
  trained: Trained | null = null,
): Promise<void> {
  const own = ownOf(adapter);
  checkLabels(own);
  if (!adapter.weight.every(Number.isFinite) || !adapter.bias.every(Number.isFinite)) {
    throw new Error("the head holds a number that is not finite");
  }
  const { weight, bias, labels, task } = adapter;
  const rows = labels.length;
  const config = configOf(adapter, trained);
  const names = headNames(task, config.peft_type);
  const head = [
    { name: names.weight, shape: [rows, weight.length / rows], load: () => weight },
    { name: names.bias, shape: [rows], load: () => bias },
  ].map((tensor) => ({ ...tensor, dtype: "float32" as const }));
  const tensors = [...head, ...(trained?.tensors ?? [])];
  await writeAdapterFiles(folder, { tensors, card, own, config });
}
