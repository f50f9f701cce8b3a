/**
 * Names of tensors in GGUF files and in checkpoints of transformers, as gguf/tensor_mapping.py of llama.cpp pairs them.
 */
import type { GgufFamily } from "./gguf-hyperparameters.ts";

const outside = {
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  output: "lm_head",
} as const;

const inLayer = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
} as const;

/** Gemma has norms behind its blocks too, and counts the names differently. */
const inGemmaLayer = {
  ...inLayer,
  post_attention_norm: "post_attention_layernorm",
  ffn_norm: "pre_feedforward_layernorm",
  post_ffw_norm: "post_feedforward_layernorm",
} as const;

const layerPattern = /^blk\.(\d+)\.([a-z_]+)\.(weight|bias)$/;
const outsidePattern = /^([a-z_]+)\.(weight|bias)$/;

function lookUp(table: Readonly<Record<string, string>>, key: string): string | null {
  return Object.hasOwn(table, key) ? (table[key] ?? null) : null;
}

/** Null: no checkpoint of the family has such a tensor. */
export function checkpointName(ggufName: string, family: GgufFamily): string | null {
  const [, layer, part = "", kind] = layerPattern.exec(ggufName) ?? [];
  if (layer !== undefined) {
    const name = lookUp(family === "gemma3" ? inGemmaLayer : inLayer, part);
    return name === null ? null : `model.layers.${layer}.${name}.${kind}`;
  }
  const [, place = "", what] = outsidePattern.exec(ggufName) ?? [];
  const name = lookUp(outside, place);
  return name === null ? null : `${name}.${what}`;
}
