/**
 * From a checkpoint's config and weights to a graph, whatever family of decoder it is. A family is a row of the table.
 */
import * as z from "zod";
import type { Graph } from "../onnx/graph.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { buildCausalTransformer } from "./causal-transformer.ts";
import type { DecoderOptions } from "./causal-transformer.ts";
import { type DecoderArchitecture, decoderPrefixes } from "./decoder-architecture.ts";
import { gemma3 } from "./gemma.ts";
import { llama, mistral } from "./llama.ts";
import { ConfigError, FamilyConfig, parseConfig } from "./parse-config.ts";
import { qwen2, qwen3 } from "./qwen.ts";
import { buildTrainingCausalTransformer } from "./training-decoder.ts";
import type { DecoderTrainingOptions } from "./training-decoder.ts";
import { refuseUnread, watchReads } from "./unread-tensors.ts";

const families = new Map<string, z.ZodType<DecoderArchitecture>>([
  ["gemma3_text", gemma3],
  ["llama", llama],
  ["mistral", mistral],
  ["qwen2", qwen2],
  ["qwen3", qwen3],
]);

/** The `model_type`s that `buildDecoder` builds. */
export const decoderFamilies: readonly string[] = [...families.keys()];

export function isDecoder(config: unknown): boolean {
  const { success, data } = FamilyConfig.safeParse(config);
  return success && families.has(data.model_type);
}

/** Classifiers and the like have another head; a bare decoder has none and its embedding is the output layer. */
const builtClass = /(ForCausalLM|Model)$/;

/** Throws `ConfigError` on a config we cannot build from. */
export function decoderOf(config: unknown): DecoderArchitecture {
  const { model_type: type, architectures } = parseConfig(FamilyConfig, config);
  const family = families.get(type);
  if (family === undefined) {
    throw new ConfigError(`model_type ${type} is not built, only ${decoderFamilies.join(", ")}`);
  }
  const [name = "ForCausalLM"] = architectures ?? [];
  if (!builtClass.test(name)) {
    throw new ConfigError(`config.json: no head is built for ${name}, only one for causal LM`);
  }
  return parseConfig(family, config);
}

/** The graph that trains it, see training-decoder.ts. Throws as `buildDecoder`, but for what it leaves out. */
export function buildTrainingDecoder(
  config: unknown,
  weights: WeightSource,
  options: DecoderTrainingOptions,
): Graph {
  return buildTrainingCausalTransformer(decoderOf(config), weights, options);
}

/** Saved by older versions with the weights; they follow from config.json. */
const buffers = /(^|\.)rotary_emb\.inv_freq$/;

/**
 * `config` is config.json, parsed. `weights` are read when the graph is written: keep them open until then.
 * Throws `ConfigError` or `WeightError` on a checkpoint that is no such model, or holds what the graph would leave out.
 */
export function buildDecoder(
  config: unknown,
  weights: WeightSource,
  options: DecoderOptions = {},
): Graph {
  const architecture = decoderOf(config);
  const { source, read } = watchReads(weights);
  const graph = buildCausalTransformer(architecture, source, options);
  refuseUnread(weights, read, {
    name: architecture.name,
    prefixes: decoderPrefixes,
    isHarmless: (tensor) => buffers.test(tensor),
  });
  return graph;
}
