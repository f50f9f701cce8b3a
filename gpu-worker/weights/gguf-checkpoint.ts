/**
 * A GGUF file as the checkpoint that it was converted from: its config.json, and its weights under the names, in the
 * order of rows and with the values that transformers gives them. What convert_hf_to_gguf.py of llama.cpp changed is
 * undone: rows of Llama's queries and keys, and Gemma's norms.
 */
import path from "node:path";
import { bytesOf, tensor } from "../tensor/tensor.ts";
import { dequantise } from "./ggml-blocks.ts";
import type { GgmlBlocks } from "./ggml-blocks.ts";
import { configOf } from "./gguf-config.ts";
import type { GgufModel, ModelConfig } from "./gguf-config.ts";
import { familyOf, hyperparametersOf } from "./gguf-hyperparameters.ts";
import { checkpointName } from "./gguf-names.ts";
import { openGguf } from "./gguf-reader.ts";
import type { BlockSource, GgufSource } from "./gguf-reader.ts";
import { ropeFactorsName } from "./gguf-rope.ts";
import { tokenizerOf } from "./gguf-tokenizer.ts";
import type { GgufTokenizer } from "./gguf-tokenizer.ts";
import { inFile } from "./read-range.ts";
import { WeightError } from "./weight-source.ts";

export type GgufCheckpoint = {
  readonly config: ModelConfig;
  /** Null: the file has none. */
  readonly tokenizer: GgufTokenizer | null;
  readonly weights: BlockSource;
};

/** GGUF's name by the checkpoint's; a tensor that the table lacks keeps its own, so that it is seen to be left over. */
function namesOf({ source, family }: GgufModel): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const ggufName of source.names()) {
    if (ggufName === ropeFactorsName) continue;
    const name = checkpointName(ggufName, family) ?? ggufName;
    if (names.has(name)) throw new WeightError(`two tensors are "${name}"`);
    names.set(name, ggufName);
  }
  return names;
}

/** Rows of this tensor that alternate, as many heads; 0: none do. */
function alternatingHeads(name: string, { family, sizes }: GgufModel): number {
  if (family !== "llama") return 0;
  const heads = sizes["attention.head_count"];
  if (/\.self_attn\.q_proj\./.test(name)) return heads;
  if (/\.self_attn\.k_proj\./.test(name)) return sizes["attention.head_count_kv"] ?? heads;
  return 0;
}

function asF32({ shape }: GgmlBlocks, values: Float32Array): GgmlBlocks {
  return { type: "F32", shape, bytes: bytesOf(values) };
}

/**
 * Rows of each head in two halves, from rows in which the two alternate: `permute` of the converter, backwards. ggml
 * turns neighbouring features of a head together, transformers a feature of each half.
 */
function inHalves(blocks: GgmlBlocks, heads: number): GgmlBlocks {
  // A block of a bias would span several of its rows.
  const isMatrix = blocks.shape.length > 1;
  const { type, shape, bytes } = isMatrix ? blocks : asF32(blocks, dequantise(blocks));
  const rows = shape[0] ?? 0;
  const half = rows / heads / 2;
  const rowBytes = bytes.length / rows;
  const ordered = new Uint8Array(bytes.length);
  for (let row = 0; row < rows; row++) {
    const feature = row % (2 * half);
    const stored = row - feature + (feature % half) * 2 + Math.floor(feature / half);
    ordered.set(bytes.subarray(stored * rowBytes, (stored + 1) * rowBytes), row * rowBytes);
  }
  return { type, shape, bytes: ordered };
}

function expectHalves(model: GgufModel, names: ReadonlyMap<string, string>): void {
  for (const [name, ggufName] of names) {
    const heads = alternatingHeads(name, model);
    const rows = model.source.entry(ggufName)?.shape[0] ?? 1;
    if (heads === 0 || rows % (2 * heads) === 0) continue;
    throw new WeightError(
      `tensor "${ggufName}" has ${rows} rows, which are not ${heads} even heads`,
    );
  }
}

/** Gemma multiplies by 1 + weight, and its files hold the sum. */
function withoutOne(blocks: GgmlBlocks): GgmlBlocks {
  return asF32(
    blocks,
    dequantise(blocks).map((sum) => sum - 1),
  );
}

function weightsOf(model: GgufModel, file: string): BlockSource {
  const { family, source } = model;
  const ggufNames = namesOf(model);
  expectHalves(model, ggufNames);
  const blocks = (name: string): GgmlBlocks => {
    const ggufName = ggufNames.get(name);
    if (ggufName === undefined) {
      throw new WeightError(`${path.basename(file)}: there is no tensor "${name}"`);
    }
    const stored = source.blocks(ggufName);
    if (family === "gemma3" && name.endsWith("norm.weight")) return withoutOne(stored);
    const heads = alternatingHeads(name, model);
    return heads === 0 ? stored : inHalves(stored, heads);
  };
  return {
    metadata: source.metadata,
    names: () => [...ggufNames.keys()],
    entry: (name) => {
      const found = source.entry(ggufNames.get(name) ?? "");
      return found === null ? null : { ...found, name };
    },
    blocks,
    read: (name) => {
      const stored = blocks(name);
      return tensor("float32", stored.shape, dequantise(stored));
    },
    close: () => source.close(),
  };
}

/** Large models come in several files, of which the first has all metadata. */
function refuseParts({ values }: GgufSource): void {
  const parts = values.get("split.count") ?? 1;
  if (parts === 0 || parts === 1) return;
  throw new WeightError(`it is one of ${String(parts)} parts, which are not read: merge them`);
}

/** Throws `WeightError` if there is no such file, it is not valid, or holds no decoder of a family that is read. */
export function openGgufCheckpoint(file: string): GgufCheckpoint {
  const source = openGguf(file);
  try {
    return inFile(file, () => {
      refuseParts(source);
      const family = familyOf(source.values);
      const sizes = hyperparametersOf(source.values, family);
      const tokenizer = tokenizerOf(source.values);
      const model = { family, sizes, source, tokenizer };
      return { config: configOf(model), tokenizer, weights: weightsOf(model, file) };
    });
  } catch (error) {
    source.close();
    throw error;
  }
}
