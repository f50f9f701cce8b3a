/**
 * A sentence encoder of a few kilobytes, made up: a BertModel with weights from a fixed sequence, its tokenizer, and
 * the stages of sentence-transformers. Large enough to load and run, small enough to make for each test.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";

const hidden = 8;
const intermediate = 16;
const layers = 1;
const words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "quick", "brown", "fox", "##s"];
const positions = 32;

const config = {
  architectures: ["BertModel"],
  model_type: "bert",
  hidden_act: "gelu",
  hidden_size: hidden,
  intermediate_size: intermediate,
  layer_norm_eps: 1e-12,
  max_position_embeddings: positions,
  num_attention_heads: 2,
  num_hidden_layers: layers,
  pad_token_id: 0,
  position_embedding_type: "absolute",
  type_vocab_size: 2,
  vocab_size: words.length,
};

const tokenizer = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: words.slice(0, 5).map((content, id) => ({
    id,
    content,
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  })),
  normalizer: {
    type: "BertNormalizer",
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  pre_tokenizer: { type: "BertPreTokenizer" },
  post_processor: {
    type: "TemplateProcessing",
    single: [
      { SpecialToken: { id: "[CLS]", type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
      { SpecialToken: { id: "[SEP]", type_id: 0 } },
    ],
    pair: [
      { SpecialToken: { id: "[CLS]", type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
      { SpecialToken: { id: "[SEP]", type_id: 0 } },
      { Sequence: { id: "B", type_id: 1 } },
      { SpecialToken: { id: "[SEP]", type_id: 1 } },
    ],
    special_tokens: {
      "[CLS]": { id: "[CLS]", ids: [2], tokens: ["[CLS]"] },
      "[SEP]": { id: "[SEP]", ids: [3], tokens: ["[SEP]"] },
    },
  },
  decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  model: {
    type: "WordPiece",
    unk_token: "[UNK]",
    continuing_subword_prefix: "##",
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries(words.map((word, id) => [word, id])),
  },
};

function shapes(): Record<string, number[]> {
  const table: Record<string, number[]> = {
    "embeddings.word_embeddings.weight": [words.length, hidden],
    "embeddings.position_embeddings.weight": [positions, hidden],
    "embeddings.token_type_embeddings.weight": [2, hidden],
    "embeddings.LayerNorm.weight": [hidden],
    "embeddings.LayerNorm.bias": [hidden],
    "pooler.dense.weight": [hidden, hidden],
    "pooler.dense.bias": [hidden],
  };
  for (let layer = 0; layer < layers; layer += 1) {
    const at = `encoder.layer.${layer}`;
    for (const part of ["self.query", "self.key", "self.value", "output.dense"]) {
      table[`${at}.attention.${part}.weight`] = [hidden, hidden];
      table[`${at}.attention.${part}.bias`] = [hidden];
    }
    table[`${at}.intermediate.dense.weight`] = [intermediate, hidden];
    table[`${at}.intermediate.dense.bias`] = [intermediate];
    table[`${at}.output.dense.weight`] = [hidden, intermediate];
    table[`${at}.output.dense.bias`] = [hidden];
    for (const part of ["attention.output.LayerNorm", "output.LayerNorm"]) {
      table[`${at}.${part}.weight`] = [hidden];
      table[`${at}.${part}.bias`] = [hidden];
    }
  }
  return table;
}

/** Numbers in −0.5 … 0.5 that differ from each other and are the same in every run. */
function fixedNumbers(count: number, seed: number): Float32Array {
  let state = seed + 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32 - 0.5;
  });
}

/** Every file of the encoder, in the order the hub lists them. */
export const tinyEncoderFiles = [
  "config.json",
  "modules.json",
  "sentence_bert_config.json",
  "1_Pooling/config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "model.safetensors",
] as const;

/** @param seed another seed gives other weights */
export async function writeTinyEncoder(folder: string, seed = 0): Promise<void> {
  const stages = ["Transformer", "Pooling", "Normalize"].map((name, idx) => ({
    idx,
    name: String(idx),
    path: idx === 0 ? "" : `${idx}_${name}`,
    type: `sentence_transformers.models.${name}`,
  }));
  const json: Record<string, unknown> = {
    "config.json": config,
    "modules.json": stages,
    "sentence_bert_config.json": { max_seq_length: 16, do_lower_case: false },
    "1_Pooling/config.json": { word_embedding_dimension: hidden, pooling_mode_mean_tokens: true },
    "tokenizer.json": tokenizer,
    "tokenizer_config.json": { model_max_length: 1e30 },
  };
  await mkdir(path.join(folder, "1_Pooling"), { recursive: true });
  for (const [name, content] of Object.entries(json)) {
    await writeFile(path.join(folder, name), JSON.stringify(content));
  }
  const tensors = Object.entries(shapes()).map(([name, shape], index) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const values = fixedNumbers(count, seed * 1_000 + index);
    return { name, dtype: "float32" as const, shape, load: () => values };
  });
  await writeSafetensors(path.join(folder, "model.safetensors"), tensors);
}

export async function tinyEncoderBytes(folder: string): Promise<Record<string, Buffer>> {
  await writeTinyEncoder(folder);
  const entries = tinyEncoderFiles.map(
    async (name) => [name, await readFile(path.join(folder, name))] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}
