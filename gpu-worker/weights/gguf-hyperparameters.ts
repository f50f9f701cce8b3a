/**
 * What a GGUF file says of a decoder's sizes, under the names of the format
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#llm), without the family's own prefix.
 */
import * as z from "zod";
import type { GgufValue } from "./gguf-header.ts";
import { WeightError } from "./weight-source.ts";

export const ggufFamilies = ["llama", "qwen2", "qwen3", "gemma3"] as const;
/** Mistral's models are "llama" too. */
export type GgufFamily = (typeof ggufFamilies)[number];

const Size = z.int().positive();
const Positive = z.number().positive();
/** llama.cpp reads 512. */
const layersMax = 1024;

const Hyperparameters = z.object({
  context_length: Size,
  embedding_length: Size,
  feed_forward_length: Size,
  block_count: Size.max(layersMax),
  "attention.head_count": Size,
  /** As many as heads. */
  "attention.head_count_kv": Size.optional(),
  "attention.key_length": Size.optional(),
  "attention.value_length": Size.optional(),
  "attention.layer_norm_rms_epsilon": Positive,
  "attention.sliding_window": z.int().nonnegative().optional(),
  /** Every so manieth layer sees all tokens, the others a window. */
  "attention.sliding_window_pattern": Size.optional(),
  final_logit_softcapping: z.number().nonnegative().optional(),
  "rope.dimension_count": Size.optional(),
  "rope.freq_base": Positive.optional(),
  /** Of layers with a window. */
  "rope.freq_base_swa": Positive.optional(),
  "rope.scaling.type": z.string().optional(),
  /** 0: none. */
  "rope.scaling.factor": z.number().nonnegative().optional(),
  /** The older name of the same. */
  "rope.scale_linear": z.number().nonnegative().optional(),
  "rope.scaling.original_context_length": Size.optional(),
  "rope.scaling.yarn_attn_factor": Positive.optional(),
  "rope.scaling.yarn_beta_fast": Positive.optional(),
  "rope.scaling.yarn_beta_slow": Positive.optional(),
  /** Above 0: a mixture of experts. */
  expert_count: z.int().nonnegative().max(0, "mixtures of experts are not read").optional(),
});
export type Hyperparameters = z.infer<typeof Hyperparameters>;

/** The values under `prefix`, without it, as `schema` reads them. */
export function readValues<T>(
  values: ReadonlyMap<string, GgufValue>,
  prefix: string,
  schema: z.ZodType<T>,
): T {
  const own: [string, GgufValue][] = [];
  for (const [key, value] of values) {
    if (key.startsWith(prefix)) own.push([key.slice(prefix.length), value]);
  }
  const parsed = schema.safeParse(Object.fromEntries(own));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const key = prefix + String(issue?.path[0] ?? "");
  throw new WeightError(`"${key}": ${issue?.message ?? "invalid"}`);
}

/** By `general.architecture`. */
export function familyOf(values: ReadonlyMap<string, GgufValue>): GgufFamily {
  const name = values.get("general.architecture");
  const family = ggufFamilies.find((each) => each === name);
  if (family !== undefined) return family;
  throw new WeightError(
    `"general.architecture" is ${String(name ?? "missing")}, only ${ggufFamilies.join(", ")} are read`,
  );
}

export function hyperparametersOf(
  values: ReadonlyMap<string, GgufValue>,
  family: GgufFamily,
): Hyperparameters {
  return readValues(values, `${family}.`, Hyperparameters);
}
