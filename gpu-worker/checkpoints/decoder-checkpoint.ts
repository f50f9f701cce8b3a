/**
 * A folder with a decoder, read as far as can be told without its weights: what it can do, how long its texts may be,
 * what ends one. One that cannot be served is refused in words that say why.
 */
import * as z from "zod";
import type { ModelLimits } from "#contract/model-limits.ts";
import type { Task } from "#contract/tasks.ts";
import type { DecoderArchitecture } from "../architectures/decoder-architecture.ts";
import { decoderOf } from "../architectures/decoder.ts";
import { headsOf } from "../architectures/feature-heads.ts";
import { canRotate } from "../architectures/rotated-weights.ts";
import { readJson } from "../files/json-file.ts";
import type { ChatTemplate, KeyValueShape } from "../model/decoder-model.ts";
import { findChatTemplate } from "../tokenizer/chat-template-file.ts";
import { filesOfGguf } from "../tokenizer/gguf-vocabulary.ts";
import { readTokenizerConfig, type SpecialName } from "../tokenizer/tokenizer-config.ts";
import { readTokenizerFiles, type TokenizerFiles } from "../tokenizer/tokenizer-file.ts";
import type { GgufTokenizer } from "../weights/gguf-tokenizer.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { readCardLicence } from "./card-licence.ts";
import { OwnFile, TokenizerConfigFile } from "./checkpoint-files.ts";
import {
  bytesOfFiles,
  type DecoderWeightFiles,
  findDecoderWeights,
  openDecoderWeights,
} from "./decoder-weights.ts";
import { expectTokenizer, hasTokenizerFile } from "./expect-tokenizer.ts";

export type DecoderCheckpoint = DecoderWeightFiles & {
  kind: "decoder";
  folder: string;
  /** The first is its own. */
  tasks: Task[];
  limits: ModelLimits;
  licence: string | null;
  /** sha256 of the upstream f32 weights where these are another form of them. */
  derivedFrom: string | null;
  /** Bytes of the weights. */
  sizeBytes: number;
  /** Numbers of all tensors. */
  parameters: number;
  keyValues: KeyValueShape;
  queryHeads: number;
  /** Whether it can be computed with its hidden state rotated. */
  rotates: boolean;
  endTokens: number[];
  /** Null: it takes no conversation. */
  chatTemplate: ChatTemplate | null;
};

/**
 * Tokens of a text, prompt and answer together, however many more a model has positions for: a text's keys and values
 * take memory for all of its tokens, 377 MB for so many of a model of 135 million parameters.
 */
export const decoderTokensMax = 8_192;

const TokenIds = z
  .union([
    z
      .int()
      .nonnegative()
      .transform((id) => [id]),
    z.array(z.int().nonnegative()),
  ])
  .nullish();
const EndTokens = z.looseObject({ eos_token_id: TokenIds });

type Opened = ReturnType<typeof openDecoderWeights>;

/** What its GGUF file says of the tokenizer counts where no tokenizer.json beside it does. */
async function vocabularyOf(folder: string, { tokenizer }: Opened): Promise<GgufTokenizer | null> {
  return (await hasTokenizerFile(folder)) ? null : tokenizer;
}

/** What a tokenizer of the checkpoint is made of. @throws where there is none, or one that is not known */
export async function decoderTokenizerFiles(
  checkpoint: DecoderCheckpoint,
): Promise<TokenizerFiles> {
  const { folder } = checkpoint;
  const opened = openDecoderWeights(checkpoint);
  try {
    const vocabulary = await vocabularyOf(folder, opened);
    return vocabulary === null ? await readTokenizerFiles(folder) : await filesOfGguf(vocabulary);
  } finally {
    opened.weights.close();
  }
}

/** The texts of its special tokens by their roles. */
async function namedTokens(folder: string, { tokenizer }: Opened) {
  const { special } = await readTokenizerConfig(folder);
  const textOf = (name: SpecialName, id: number | undefined) =>
    special[name]?.content ?? tokenizer?.["ggml.tokens"][id ?? -1] ?? "";
  return {
    bosToken: textOf("bos_token", tokenizer?.["ggml.bos_token_id"]),
    eosToken: textOf("eos_token", tokenizer?.["ggml.eos_token_id"]),
  };
}

/** All that any of its files names: generation_config.json lists the ends of a turn, config.json that of a text. */
async function endTokensOf(folder: string, { config, tokenizer }: Opened): Promise<number[]> {
  const said = await readJson(folder, "generation_config.json", EndTokens);
  const own = EndTokens.safeParse(config);
  const ids = [
    ...(said?.eos_token_id ?? []),
    ...((own.success ? own.data.eos_token_id : null) ?? []),
    tokenizer?.["ggml.eos_token_id"],
    tokenizer?.["ggml.eot_token_id"],
  ];
  return [...new Set(ids.filter((id) => id !== undefined))];
}

async function limitsOf(
  folder: string,
  { positions, vocabulary }: DecoderArchitecture,
  tokensMax: number,
): Promise<ModelLimits> {
  const tokenizer = await readJson(folder, "tokenizer_config.json", TokenizerConfigFile);
  const own = tokenizer?.model_max_length ?? Infinity;
  const maxTokens = Math.floor(Math.min(own, positions, tokensMax));
  if (maxTokens < 2) throw new Error("tokenizer_config.json: model_max_length must be 2 or more");
  return { maxTokens, dimensions: null, vocabularySize: vocabulary };
}

function keyValuesOf({ layers, keyValueHeads, headWidth }: DecoderArchitecture): KeyValueShape {
  const { count, padded } = headsOf(keyValueHeads, headWidth);
  return { layers: layers.length, heads: count, width: padded };
}

function parametersOf(weights: WeightSource): number {
  const shapes = weights.names().map((name) => weights.entry(name)?.shape ?? []);
  return shapes.reduce((sum, shape) => sum + shape.reduce((all, size) => all * size, 1), 0);
}

async function describe(
  folder: string,
  { files, opened, tokensMax }: { files: DecoderWeightFiles; opened: Opened; tokensMax: number },
): Promise<DecoderCheckpoint> {
  const { config, weights } = opened;
  const architecture = decoderOf(config);
  const gguf = opened.tokenizer?.chat_template ?? null;
  const template = await findChatTemplate({ folder, gguf });
  const own = await readJson(folder, "llm-os.json", OwnFile);
  const licence = own?.licence ?? (await readCardLicence(folder));
  return {
    ...files,
    kind: "decoder",
    folder,
    tasks: template === null ? ["text-generation"] : ["text-generation", "chat-completion"],
    limits: await limitsOf(folder, architecture, tokensMax),
    licence: licence ?? weights.metadata["general.license"] ?? null,
    derivedFrom: own?.derivedFrom ?? null,
    sizeBytes: await bytesOfFiles(files.weightsFiles),
    parameters: parametersOf(weights),
    keyValues: keyValuesOf(architecture),
    queryHeads: architecture.heads,
    rotates: canRotate(architecture),
    endTokens: await endTokensOf(folder, opened),
    chatTemplate: template === null ? null : { template, ...(await namedTokens(folder, opened)) },
  };
}

/**
 * @param contextTokens of prompt and answer together, at most; null: `decoderTokensMax`
 * @returns null where the folder holds no decoder
 * @throws Error whose message completes "the folder cannot be served: …"
 */
export async function readDecoderCheckpoint(
  folder: string,
  contextTokens: number | null,
): Promise<DecoderCheckpoint | null> {
  const tokensMax = contextTokens ?? decoderTokensMax;
  const files = await findDecoderWeights(folder);
  if (files === null) return null;
  const opened = openDecoderWeights(files);
  try {
    const vocabulary = await vocabularyOf(folder, opened);
    const checkpoint = await describe(folder, { files, opened, tokensMax });
    if (vocabulary === null) await expectTokenizer(folder);
    return checkpoint;
  } finally {
    opened.weights.close();
  }
}
