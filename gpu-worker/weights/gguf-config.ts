/**
 * The config.json that transformers would write beside a checkpoint, from the GGUF file it was converted to: what an
 * architecture reads. Keys and defaults as in convert_hf_to_gguf.py and the model loader of llama.cpp.
 */
import { dequantise } from "./ggml-blocks.ts";
import type { GgufFamily, Hyperparameters } from "./gguf-hyperparameters.ts";
import type { GgufSource } from "./gguf-reader.ts";
import { ropeFactorsName, ropeOf } from "./gguf-rope.ts";
import type { GgufTokenizer } from "./gguf-tokenizer.ts";
import { WeightError } from "./weight-source.ts";

export type ModelConfig = Readonly<Record<string, unknown>>;

export type GgufModel = {
  readonly family: GgufFamily;
  readonly sizes: Hyperparameters;
  readonly source: GgufSource;
  /** Null: the file has none. */
  readonly tokenizer: GgufTokenizer | null;
};

/** Where the metadata has none, as llama.cpp. */
const gemma = { pattern: 6, slidingTheta: 10_000 } as const;
/** Of the 27B model, the only one whose scores are not scaled by the width of a head. */
const gemmaLargestLayers = 62;

function headWidth({ family, sizes }: GgufModel): number {
  const even = sizes.embedding_length / sizes["attention.head_count"];
  const width = sizes["attention.key_length"] ?? even;
  if (!Number.isInteger(width)) {
    throw new WeightError(
      `"${family}.attention.head_count" does not divide the embedding's length`,
    );
  }
  const value = sizes["attention.value_length"] ?? width;
  if (value === width) return width;
  throw new WeightError(
    `"${family}.attention.value_length" is ${value}, but keys have ${width} features`,
  );
}

function vocabularySize({ source }: GgufModel): number {
  const rows = source.entry("token_embd.weight")?.shape[0];
  if (rows === undefined) throw new WeightError(`there is no tensor "token_embd.weight"`);
  return rows;
}

function rope(model: GgufModel): ModelConfig {
  const { family, sizes, source } = model;
  const hasDivisors = source.entry(ropeFactorsName) !== null;
  const divisors = hasDivisors ? dequantise(source.blocks(ropeFactorsName)) : null;
  return ropeOf({ family, sizes, divisors, width: headWidth(model) });
}

function hasBias({ source }: GgufModel, ...layers: string[]): boolean {
  return layers.some((layer) => source.entry(`blk.0.${layer}.bias`) !== null);
}

function gemmaLayers({ sizes }: GgufModel): ModelConfig {
  const window = sizes["attention.sliding_window"] ?? 0;
  const pattern = sizes["attention.sliding_window_pattern"] ?? gemma.pattern;
  const isFull = (layer: number) => window === 0 || layer % pattern === pattern - 1;
  return {
    sliding_window: window === 0 ? null : window,
    layer_types: Array.from({ length: sizes.block_count }, (_, layer) =>
      isFull(layer) ? "full_attention" : "sliding_attention",
    ),
  };
}

const qwen = (model: GgufModel): ModelConfig => ({
  hidden_act: "silu",
  use_sliding_window: false,
  sliding_window: null,
  rope_parameters: rope(model),
});

/** What is the family's own. */
const familyFields: Readonly<Record<GgufFamily, (model: GgufModel) => ModelConfig>> = {
  llama: (model) => ({
    model_type: "llama",
    architectures: ["LlamaForCausalLM"],
    hidden_act: "silu",
    attention_bias: hasBias(model, "attn_q", "attn_k", "attn_v", "attn_output"),
    mlp_bias: hasBias(model, "ffn_gate", "ffn_up", "ffn_down"),
    rope_parameters: rope(model),
  }),
  qwen2: (model) => ({
    ...qwen(model),
    model_type: "qwen2",
    architectures: ["Qwen2ForCausalLM"],
  }),
  qwen3: (model) => ({
    ...qwen(model),
    model_type: "qwen3",
    architectures: ["Qwen3ForCausalLM"],
    attention_bias: hasBias(model, "attn_q", "attn_k", "attn_v", "attn_output"),
  }),
  gemma3: (model) => {
    const { sizes } = model;
    const isLargest = sizes.block_count === gemmaLargestLayers;
    return {
      ...gemmaLayers(model),
      model_type: "gemma3_text",
      architectures: ["Gemma3ForCausalLM"],
      hidden_activation: "gelu_pytorch_tanh",
      attention_bias: false,
      query_pre_attn_scalar: isLargest
        ? sizes.embedding_length / sizes["attention.head_count"]
        : headWidth(model),
      attn_logit_softcapping: null,
      final_logit_softcapping: sizes.final_logit_softcapping || null,
      rope_parameters: {
        full_attention: rope(model),
        sliding_attention: {
          rope_type: "default",
          rope_theta: sizes["rope.freq_base_swa"] ?? gemma.slidingTheta,
        },
      },
    };
  },
};

/** Ids that end a text, as config.json has them. */
function tokenIds({ tokenizer }: GgufModel): ModelConfig {
  return {
    bos_token_id: tokenizer?.["ggml.bos_token_id"] ?? null,
    eos_token_id: tokenizer?.["ggml.eos_token_id"] ?? null,
    pad_token_id: tokenizer?.["ggml.padding_token_id"] ?? null,
  };
}

/** Throws `WeightError` that names what is missing or not read. */
export function configOf(model: GgufModel): ModelConfig {
  const { family, sizes, source } = model;
  return {
    vocab_size: vocabularySize(model),
    hidden_size: sizes.embedding_length,
    intermediate_size: sizes.feed_forward_length,
    num_hidden_layers: sizes.block_count,
    num_attention_heads: sizes["attention.head_count"],
    num_key_value_heads: sizes["attention.head_count_kv"] ?? sizes["attention.head_count"],
    head_dim: headWidth(model),
    max_position_embeddings: sizes.context_length,
    rms_norm_eps: sizes["attention.layer_norm_rms_epsilon"],
    tie_word_embeddings: source.entry("output.weight") === null,
    ...tokenIds(model),
    ...familyFields[family](model),
  };
}
