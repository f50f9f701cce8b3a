/**
 * What becomes of a checkpoint's token vectors, read from the stages that sentence-transformers wrote beside it: a
 * sentence vector, or a cross-encoder's scores. A stage we do not build is refused by name rather than left out,
 * because the answers would be others.
 */
import path from "node:path";
import type { ActivationName } from "../architectures/activation.ts";
import { type Pooling, poolingNames } from "../architectures/encoder-head.ts";
import { readJson } from "../files/json-file.ts";
import { plainPoolings } from "../model/pooling.ts";
import type { SentenceVectors, Similarity } from "../model/sentence-vectors.ts";
import { type EncoderStage, readEncoderStage } from "./encoder-stage.ts";
import {
  DenseFile,
  encoderFileNames,
  LayerNormFile,
  ModulesFile,
  NormalizeFile,
  PoolingFile,
  SentenceFile,
} from "./sentence-files.ts";
import { torchActivation } from "./torch-activation.ts";

/** A stage after the pooling; its weights lie in its folder. */
export type LaterStage =
  | {
      kind: "dense";
      folder: string;
      inputs: number;
      outputs: number;
      activation: ActivationName;
      bias: boolean;
      residual: boolean;
    }
  | { kind: "layer-norm"; folder: string; width: number }
  | { kind: "normalize" };

export type Sentence = {
  /** Several stand side by side in the vector. */
  pooling: Pooling[];
  /** Between the pooling and the last Normalize. */
  stages: LaterStage[];
  /** Whether vectors are scaled to length 1 at the end. */
  normalize: boolean;
  /** So many of a vector's first numbers are kept; null: all. */
  keep: number | null;
  /** Whether a prompt's tokens are pooled too. */
  includePrompt: boolean;
  /** Texts to put before an input, by name. */
  prompts: Record<string, string>;
  /** The name of the prompt of who asks for none; null: none. */
  defaultPrompt: string | null;
  /** How the model's vectors are compared. */
  similarity: Similarity;
};

/** A plain encoder gets what sentence-transformers gives it: the mean over the tokens, not scaled. */
export const plainSentence: Sentence = {
  pooling: ["mean"],
  stages: [],
  normalize: false,
  keep: null,
  includePrompt: true,
  prompts: {},
  defaultPrompt: null,
  similarity: "cosine",
};

export type Stages = {
  encoder: EncoderStage;
  /** Null: a cross-encoder, whose answers are its own head's. */
  sentence: Sentence | null;
  /** Files of the stages, below the folder, beyond those that every checkpoint may have. */
  files: string[];
};

type Module = { path: string; kind: string };

const later = ["Dense", "LayerNorm", "Normalize", "Dropout"];

/** What stages compute that we do not. */
const reasons: Readonly<Record<string, string>> = {
  Asym: "it treats queries and documents by different stages",
  BoW: "it counts words and has no encoder",
  CLIPModel: "it reads images",
  CNN: "it computes a convolution over the token vectors",
  LSTM: "it computes a recurrent network over the token vectors",
  LogitScore: "it reads the logits of a decoder",
  Router: "it treats queries and documents by different stages",
  SpladePooling: "it makes sparse vectors",
  StaticEmbedding: "it looks words up and has no encoder",
  WeightedLayerPooling: "it mixes the states of all layers, of which the last alone are kept",
  WordEmbeddings: "it looks words up and has no encoder",
  WordWeights: "it weighs token vectors by their words",
};

function refuse({ kind }: Module): never {
  const why = Object.hasOwn(reasons, kind) ? reasons[kind] : undefined;
  const served = ["Transformer", "Pooling", ...later].join(", ");
  throw new Error(
    `its stage ${kind} is not served${why === undefined ? "" : `: ${why}`}; served are ${served}`,
  );
}

/** Classes moved between sentence-transformers' versions; their names stayed. */
function moduleOf({ path: folder, type }: { path: string; type: string }): Module {
  if (!type.startsWith("sentence_transformers.")) {
    throw new Error(`its stage ${type} is code of its own, which is never run`);
  }
  if (folder.startsWith("/") || folder.split("/").includes("..")) {
    throw new Error(`modules.json: the path ${folder} leads out of the folder`);
  }
  return { path: folder, kind: type.split(".").at(-1) ?? type };
}

const oldFlags = [
  ["pooling_mode_cls_token", "cls"],
  ["pooling_mode_max_tokens", "max"],
  ["pooling_mode_mean_tokens", "mean"],
  ["pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"],
  ["pooling_mode_weightedmean_tokens", "weightedmean"],
  ["pooling_mode_lasttoken", "lasttoken"],
] as const;

/** As sentence-transformers reads it: the new field before the flags; where several are set, in the flags' order. */
function poolingOf(file: PoolingFile): Pooling[] {
  const flagged = oldFlags.filter(([flag]) => file[flag]).map(([, name]) => name);
  const wanted: string[] = [file.pooling_mode ?? (flagged.length === 0 ? "mean" : flagged)].flat();
  return wanted.map((name) => {
    const known = poolingNames.find((each) => each === name);
    if (known !== undefined) return known;
    throw new Error(`its pooling ${name} is not served, only ${poolingNames.join(", ")}`);
  });
}

async function readPooling(folder: string, stage: string, hidden: number) {
  const name = path.posix.join(stage, "config.json");
  const file = await readJson(folder, name, PoolingFile);
  if (file === null) throw new Error(`${name} is missing`);
  const width = file.embedding_dimension ?? file.word_embedding_dimension ?? hidden;
  if (width !== hidden) {
    throw new Error(`${name}: it pools vectors of ${width} numbers, the encoder's have ${hidden}`);
  }
  return { pooling: poolingOf(file), includePrompt: file.include_prompt };
}

const sentenceVector = "sentence_embedding";

type Places = Pick<DenseFile, "module_input_name" | "module_output_name">;

function checkPlaces(name: string, { module_input_name: from, module_output_name: to }: Places) {
  const other = [from, to].find((place) => (place ?? sentenceVector) !== sentenceVector);
  if (other === undefined) return;
  throw new Error(
    `${name}: it works on ${other ?? ""}, and only stages of ${sentenceVector} are served`,
  );
}

/** @param width of the vectors that reach it @returns null where it changes nothing */
async function readLater(
  folder: string,
  { path: stage, kind }: Module,
  width: number,
): Promise<LaterStage | null> {
  const name = path.posix.join(stage, "config.json");
  const expect = (found: number) => {
    if (found === width) return;
    throw new Error(`${name}: it reads ${found} numbers, the stage before it gives ${width}`);
  };
  if (kind === "Dropout") return null;
  if (kind === "Normalize") {
    checkPlaces(name, (await readJson(folder, name, NormalizeFile)) ?? {});
    return { kind: "normalize" };
  }
  if (kind === "LayerNorm") {
    const file = await readJson(folder, name, LayerNormFile);
    expect(file?.dimension ?? width);
    return { kind: "layer-norm", folder: stage, width };
  }
  const file = await readJson(folder, name, DenseFile);
  if (file === null) throw new Error(`${name} is missing`);
  checkPlaces(name, file);
  expect(file.in_features);
  return {
    kind: "dense",
    folder: stage,
    inputs: file.in_features,
    outputs: file.out_features,
    activation: torchActivation(file.activation_function, name),
    bias: file.bias,
    residual: file.use_residual,
  };
}

async function readLaterStages(folder: string, modules: readonly Module[], width: number) {
  const stages: LaterStage[] = [];
  let size = width;
  for (const module of modules) {
    if (!later.includes(module.kind)) refuse(module);
    const stage = await readLater(folder, module, size);
    if (stage === null) continue;
    stages.push(stage);
    if (stage.kind === "dense") size = stage.outputs;
  }
  const normalize = stages.at(-1)?.kind === "normalize";
  while (stages.at(-1)?.kind === "normalize") stages.pop();
  return { stages, normalize, size };
}

export function promptsOf({ prompts }: SentenceFile): Record<string, string> {
  return Object.fromEntries(
    Object.entries(prompts ?? {}).map(([name, text]) => [name, text ?? ""]),
  );
}

/** @throws Error for the name of a prompt that there is not */
export function defaultPromptOf(
  { default_prompt_name: name = null }: SentenceFile,
  prompts: Readonly<Record<string, string>>,
): string | null {
  if (name === null || Object.hasOwn(prompts, name)) return name;
  throw new Error(
    `config_sentence_transformers.json: default_prompt_name is ${name}, which is none of its prompts`,
  );
}

function keptOf({ truncate_dim: keep = null }: SentenceFile, size: number): number | null {
  return keep === null || keep >= size ? null : keep;
}

async function readSentence(
  folder: string,
  modules: readonly Module[],
  { file, hidden }: { file: SentenceFile; hidden: number },
): Promise<Sentence> {
  const [pooling, ...rest] = modules;
  if (pooling === undefined) {
    throw new Error("modules.json names no Pooling, so it makes no sentence vectors");
  }
  if (pooling.kind !== "Pooling") refuse(pooling);
  const pooled = await readPooling(folder, pooling.path, hidden);
  const width = hidden * pooled.pooling.length;
  const { stages, normalize, size } = await readLaterStages(folder, rest, width);
  const prompts = promptsOf(file);
  const defaultPrompt = defaultPromptOf(file, prompts);
  const similarity = file.similarity_fn_name ?? "cosine";
  return {
    ...pooled,
    stages,
    normalize,
    keep: keptOf(file, size),
    prompts,
    defaultPrompt,
    similarity,
  };
}

/** As a loaded model tells it. */
export function sentenceVectors(sentence: Sentence): SentenceVectors {
  const { pooling, stages, keep, normalize, prompts, defaultPrompt, includePrompt, similarity } =
    sentence;
  const [only] = pooling;
  const plain = pooling.length === 1 && stages.length === 0 && keep === null && includePrompt;
  const known = plainPoolings.find((name) => plain && name === only);
  return { pooling: known ?? null, normalize, prompts, defaultPrompt, includePrompt, similarity };
}

/** Numbers of a sentence's vector. */
export function widthOf({ pooling, stages, keep }: Sentence, hidden: number): number {
  const dense = stages.findLast((stage) => stage.kind === "dense");
  return keep ?? dense?.outputs ?? hidden * pooling.length;
}

export async function readSentenceFile(folder: string): Promise<SentenceFile> {
  return (await readJson(folder, "config_sentence_transformers.json", SentenceFile)) ?? {};
}

export type Modules = {
  kind: "sentence" | "cross-encoder";
  /** The stages after the encoder. */
  rest: Module[];
  file: SentenceFile;
};

/**
 * Which stages there are; what they do is read by `readStages`.
 * @returns null where the folder holds no modules.json. @throws where it is of no kind that we serve
 */
export async function readModules(folder: string): Promise<Modules | null> {
  const listed = await readJson(folder, "modules.json", ModulesFile);
  if (listed === null) return null;
  const file = await readSentenceFile(folder);
  const type = file.model_type ?? "SentenceTransformer";
  if (type !== "SentenceTransformer" && type !== "CrossEncoder") {
    throw new Error(`its model_type ${type} is not served, only SentenceTransformer, CrossEncoder`);
  }
  const [first, ...rest] = listed.map(moduleOf);
  if (first === undefined) throw new Error("modules.json names no stage");
  if (first.kind !== "Transformer") refuse(first);
  if (first.path !== "") {
    throw new Error(
      `its encoder lies in ${first.path}: put the files of that folder beside modules.json`,
    );
  }
  const [second] = rest;
  if (type === "CrossEncoder" && second !== undefined) refuse(second);
  return { kind: type === "CrossEncoder" ? "cross-encoder" : "sentence", rest, file };
}

/** @param hidden numbers of a token's vector @throws where a stage is none that we build */
export async function readStages(
  folder: string,
  { kind, rest, file }: Modules,
  hidden: number,
): Promise<Stages> {
  const files = rest.flatMap(({ path: stage }) =>
    ["config.json", "model.safetensors"].map((name) => path.posix.join(stage, name)),
  );
  return {
    encoder: await readEncoderStage(folder, kind),
    sentence: kind === "sentence" ? await readSentence(folder, rest, { file, hidden }) : null,
    files: [...files, ...encoderFileNames],
  };
}
