/** Where a decoder's weights lie in its folder, and how they are opened: safetensors, one file or several, or GGUF. */
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";
import { isDecoder } from "../architectures/decoder.ts";
import { readJson } from "../files/json-file.ts";
import { openGgufCheckpoint } from "../weights/gguf-checkpoint.ts";
import type { GgufTokenizer } from "../weights/gguf-tokenizer.ts";
import { openSafetensors } from "../weights/safetensors-reader.ts";
import { openShardedSafetensors } from "../weights/sharded-safetensors.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { ConfigFile } from "./checkpoint-files.ts";
import { findOnnxFile } from "./onnx-file.ts";

export type DecoderWeightFiles = {
  readonly format: "safetensors" | "gguf";
  /** Paths. */
  readonly weightsFiles: readonly string[];
  /** config.json; null: a GGUF file does without. */
  readonly config: unknown;
};

export type OpenedDecoder = {
  /** As config.json. */
  readonly config: unknown;
  readonly weights: WeightSource;
  /** Null: the files beside say. */
  readonly tokenizer: GgufTokenizer | null;
};

const weightsName = "model.safetensors";
const indexName = "model.safetensors.index.json";

/** Names of files beside it, none of another folder. */
const ShardName = z.string().regex(/^[\w.-]+\.safetensors$/);
const IndexFile = z.looseObject({ weight_map: z.record(z.string(), ShardName) });

async function shardsOf(folder: string): Promise<string[]> {
  const index = await readJson(folder, indexName, IndexFile);
  const names = new Set(Object.values(index?.weight_map ?? {}));
  if (names.size === 0) throw new Error(`${indexName} names no files`);
  const there = new Set(await readdir(folder));
  for (const name of names) {
    if (!there.has(name)) throw new Error(`${name} is missing, which ${indexName} names`);
  }
  return [...names].toSorted().map((name) => path.join(folder, name));
}

/** Classes whose output layer gives the next token; a bare model's is its embedding. */
function writesText({ architectures }: ConfigFile): boolean {
  return architectures?.[0]?.endsWith("ForCausalLM") ?? true;
}

/** Of a folder with safetensors; null: they are no decoder's. */
async function safetensorsOf(
  folder: string,
  names: readonly string[],
): Promise<DecoderWeightFiles | null> {
  const config = await readJson(folder, "config.json", ConfigFile);
  if (config === null || !isDecoder(config)) return null;
  // Sentence encoders, too, are made of decoders: they are said to be by their stages.
  if (names.includes("modules.json")) return null;
  if (!writesText(config) && (await findOnnxFile(folder)) !== null) return null;
  const weightsFiles = names.includes(weightsName)
    ? [path.join(folder, weightsName)]
    : await shardsOf(folder);
  return { format: "safetensors", weightsFiles, config };
}

/**
 * @returns null where the folder holds no decoder
 * @throws Error whose message completes "the folder cannot be served: …"
 */
export async function findDecoderWeights(folder: string): Promise<DecoderWeightFiles | null> {
  const names = await readdir(folder);
  if (names.includes(weightsName) || names.includes(indexName)) {
    return safetensorsOf(folder, names);
  }
  const gguf = names.filter((name) => name.endsWith(".gguf"));
  if (gguf.length === 0 || (await findOnnxFile(folder)) !== null) return null;
  if (gguf.length > 1) {
    throw new Error(`it holds ${gguf.length} GGUF files, ${gguf.join(", ")}: leave one`);
  }
  const weightsFiles = gguf.map((name) => path.join(folder, name));
  return { format: "gguf", weightsFiles, config: null };
}

export async function bytesOfFiles(files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** @throws WeightError for a file that is not valid; whoever asked closes the weights */
export function openDecoderWeights({
  format,
  weightsFiles,
  config,
}: DecoderWeightFiles): OpenedDecoder {
  const [first = ""] = weightsFiles;
  if (format === "gguf") return openGgufCheckpoint(first);
  const weights =
    weightsFiles.length === 1 ? openSafetensors(first) : openShardedSafetensors(weightsFiles);
  return { config, weights, tokenizer: null };
}
