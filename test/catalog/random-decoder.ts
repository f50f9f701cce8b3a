/**
 * A decoder of a few kilobytes with random weights and a token for each byte, which can write any text and means none:
 * what it writes well it was made to write. The marks of calls are tokens of their own, as in models that know them.
 */
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";
import { randomFrom } from "../random-from.ts";

const special = ["<s>", "</s>", "[TOOL_CALLS]"];
const added = [...special, "<tool_call>", "</tool_call>"];
const hidden = 16;
const intermediate = 16;

function isSeen(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/** As GPT-2's tokenizer writes bytes: each as a letter that can be seen. */
function byteLetters(): string[] {
  let hiddenBytes = 0;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(isSeen(byte) ? byte : 256 + hiddenBytes++),
  );
}

const byteLevel = {
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: false,
  use_regex: false,
};

function tokenizer(): object {
  const words = [...added, ...byteLetters()];
  return {
    version: "1.0",
    added_tokens: added.map((content, id) => ({
      id,
      content,
      special: special.includes(content),
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: "BPE",
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
      merges: [],
    },
  };
}

const vocabulary = added.length + 256;

const config = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: vocabulary,
  hidden_size: hidden,
  intermediate_size: intermediate,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  head_dim: 8,
  hidden_act: "silu",
  max_position_embeddings: 8_192,
  rms_norm_eps: 1e-6,
  rope_theta: 10_000,
  tie_word_embeddings: false,
  attention_bias: false,
  mlp_bias: false,
  bos_token_id: 0,
  eos_token_id: 1,
  torch_dtype: "float32",
};

const layer = "model.layers.0";
const shapes: readonly (readonly [string, readonly number[]])[] = [
  ["lm_head.weight", [vocabulary, hidden]],
  ["model.embed_tokens.weight", [vocabulary, hidden]],
  ["model.norm.weight", [hidden]],
  [`${layer}.input_layernorm.weight`, [hidden]],
  [`${layer}.post_attention_layernorm.weight`, [hidden]],
  [`${layer}.mlp.gate_proj.weight`, [intermediate, hidden]],
  [`${layer}.mlp.up_proj.weight`, [intermediate, hidden]],
  [`${layer}.mlp.down_proj.weight`, [hidden, intermediate]],
  ...["q_proj", "k_proj", "v_proj", "o_proj"].map(
    (name) => [`${layer}.self_attn.${name}.weight`, [hidden, hidden]] as const,
  ),
];

/** @param template of its conversations, in Jinja */
export async function writeRandomDecoder(folder: string, template: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const below = randomFrom(5);
  const tensors = shapes.map(([name, shape]) => {
    const data = Float32Array.from(
      { length: shape.reduce((product, size) => product * size, 1) },
      () => below(2_001) / 1_000 - 1,
    );
    return { name, shape, dtype: "float32" as const, load: () => data };
  });
  await writeSafetensors(path.join(folder, "model.safetensors"), tensors);
  const files: Record<string, object> = {
    "config.json": config,
    "tokenizer.json": tokenizer(),
    "tokenizer_config.json": {
      bos_token: "<s>",
      eos_token: "</s>",
      model_max_length: 8_192,
      chat_template: template,
    },
  };
  for (const [name, value] of Object.entries(files)) {
    await writeFile(path.join(folder, name), JSON.stringify(value));
  }
}
