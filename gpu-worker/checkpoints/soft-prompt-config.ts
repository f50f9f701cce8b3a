/**
 * What PEFT's `adapter_config.json` says of a soft prompt (PromptTuningConfig of peft 0.21), and the vectors that the
 * weights beside it hold: one tensor.
 */
import * as z from "zod";
import { promptTable } from "../architectures/virtual-tokens.ts";
import { virtualTokensMax } from "../model/virtual-tokens.ts";
import type { TensorToWrite } from "../weights/safetensors-writer.ts";
import type { WeightSource } from "../weights/weight-source.ts";

/** PEFT's name of the method. */
export const promptTuning = "PROMPT_TUNING";

export const softPromptFields = {
  num_virtual_tokens: z.int().positive().max(virtualTokensMax).nullish(),
  /** Of an encoder with a decoder each has its own. */
  num_transformer_submodules: z.int().nullish(),
};
const SoftPromptFields = z.object(softPromptFields);
export type SoftPromptFields = z.infer<typeof SoftPromptFields>;

export type SoftPrompt = {
  /** Virtual tokens. */
  readonly tokens: number;
  /** Numbers of each: the hidden size. */
  readonly width: number;
};

/** A soft prompt as it was trained. */
export type TrainedPrompt = {
  readonly virtualTokens: number;
  /** Of the base. */
  readonly sizes: { readonly hidden: number; readonly heads: number; readonly layers: number };
  /** Under PEFT's name. */
  readonly tensors: readonly TensorToWrite[];
};

/** What PEFT writes of it, whatever the task. */
export function promptConfig({ virtualTokens, sizes }: TrainedPrompt) {
  return {
    peft_type: promptTuning,
    num_virtual_tokens: virtualTokens,
    token_dim: sizes.hidden,
    num_transformer_submodules: 1,
    num_attention_heads: sizes.heads,
    num_layers: sizes.layers,
    // How PEFT would begin before it reads the vectors: with what needs no tokenizer.
    prompt_tuning_init: "RANDOM",
  };
}

/**
 * @param names of the tensors that are no head's
 * @param file adapter_config.json
 * @throws Error that names what is not served, or does not fit the configuration
 */
export function readSoftPrompt(
  source: WeightSource,
  names: readonly string[],
  { num_virtual_tokens: said, num_transformer_submodules: submodules }: SoftPromptFields,
  file: string,
): SoftPrompt {
  if (typeof said !== "number") throw new Error(`${file}: num_virtual_tokens is missing`);
  if ((submodules ?? 1) !== 1) {
    throw new Error(`${file}: num_transformer_submodules ${submodules} is not served: only 1 is`);
  }
  const other = names.find((name) => name !== promptTable);
  if (other !== undefined) {
    throw new Error(`${other} is not served: only ${promptTable} is, beside no layers of LoRA`);
  }
  const shape = source.entry(promptTable)?.shape;
  if (shape === undefined) throw new Error(`${promptTable} is missing`);
  const [tokens, width = 0, ...more] = shape;
  if (tokens === said && width > 0 && more.length === 0) return { tokens, width };
  throw new Error(`${promptTable} is [${shape.join(", ")}], expected [${said}, hidden size]`);
}
