/** A small Llama of random weights, whose matrices are stored in ggml's blocks. */
import { float32ToFloat16 } from "../../gpu-worker/tensor/float16.ts";
import { elementCount } from "../../gpu-worker/tensor/shape.ts";
import { bytesOf, tensor } from "../../gpu-worker/tensor/tensor.ts";
import { dequantise, ggmlTypes } from "../../gpu-worker/weights/ggml-blocks.ts";
import type { GgmlBlocks } from "../../gpu-worker/weights/ggml-blocks.ts";
import type { WeightSource } from "../../gpu-worker/weights/weight-source.ts";
import { numbers } from "../onnx/run-graph.ts";

type Type = "Q4_0" | "Q4_1" | "Q8_0";

/** A block's first bytes: its scale and, in Q4_1, its least value. */
function headOf(type: Type, block: Float32Array): { head: number[]; steps: number[] } {
  const [least, most] = [Math.min(...block), Math.max(...block)];
  const far = Math.max(-least, most);
  const scale = type === "Q4_1" ? (most - least) / 15 : far / (type === "Q4_0" ? 7 : 127);
  const from = type === "Q4_1" ? least : 0;
  const middle = type === "Q4_0" ? 8 : 0;
  const steps = Array.from(block, (value) =>
    scale === 0 ? middle : Math.round((value - from) / scale) + middle,
  );
  return { head: type === "Q4_1" ? [scale, least] : [scale], steps };
}

function packed(type: Type, steps: readonly number[]): Uint8Array {
  if (type === "Q8_0") return bytesOf(Int8Array.from(steps));
  return Uint8Array.from(
    { length: 16 },
    (_, at) => (steps[at] ?? 0) | ((steps[at + 16] ?? 0) << 4),
  );
}

/** The matrix, rounded to blocks as llama.cpp lays them out. */
export function blocksOf(type: Type, matrix: Float32Array, shape: readonly number[]): GgmlBlocks {
  const size = ggmlTypes[type].bytes;
  const bytes = new Uint8Array((matrix.length / 32) * size);
  for (let block = 0; block * 32 < matrix.length; block++) {
    const { head, steps } = headOf(type, matrix.subarray(block * 32, (block + 1) * 32));
    const halves = bytesOf(float32ToFloat16(Float32Array.from(head)));
    bytes.set(halves, block * size);
    bytes.set(packed(type, steps), block * size + halves.length);
  }
  return { type, shape, bytes };
}

const [hidden, intermediate, vocabulary, heads, keyValueHeads, layers] = [64, 96, 41, 4, 2, 2];

const config = {
  model_type: "llama",
  architectures: ["LlamaForCausalLM"],
  vocab_size: vocabulary,
  hidden_size: hidden,
  intermediate_size: intermediate,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  num_key_value_heads: keyValueHeads,
  max_position_embeddings: 64,
  tie_word_embeddings: true,
};

function shapes(): Map<string, number[]> {
  const kept = (hidden / heads) * keyValueHeads;
  const all: [string, number[]][] = [
    ["model.embed_tokens.weight", [vocabulary, hidden]],
    ["model.norm.weight", [hidden]],
  ];
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    all.push(
      [`${at}.input_layernorm.weight`, [hidden]],
      [`${at}.post_attention_layernorm.weight`, [hidden]],
      [`${at}.self_attn.q_proj.weight`, [hidden, hidden]],
      [`${at}.self_attn.k_proj.weight`, [kept, hidden]],
      [`${at}.self_attn.v_proj.weight`, [kept, hidden]],
      [`${at}.self_attn.o_proj.weight`, [hidden, hidden]],
      [`${at}.mlp.gate_proj.weight`, [intermediate, hidden]],
      [`${at}.mlp.up_proj.weight`, [intermediate, hidden]],
      [`${at}.mlp.down_proj.weight`, [hidden, intermediate]],
    );
  }
  return new Map(all);
}

export function blockedDecoder(type: Type): { config: object; weights: WeightSource } {
  const known = shapes();
  const storedOf = (name: string): GgmlBlocks => {
    const shape = known.get(name) ?? [];
    const values = numbers(elementCount(shape), name.length + 7).map((value) => value / 4);
    if (shape.length === 2) return blocksOf(type, values, shape);
    return { type: "F32", shape, bytes: bytesOf(values.map((value) => 1 + value)) };
  };
  const weights: WeightSource = {
    metadata: {},
    names: () => [...known.keys()],
    entry: (name) => {
      const shape = known.get(name);
      if (shape === undefined) return null;
      const stored = shape.length === 2 ? type : "F32";
      return { name, dtype: "float32", shape, byteLength: elementCount(shape) * 4, stored };
    },
    read: (name) => {
      const stored = storedOf(name);
      return tensor("float32", stored.shape, dequantise(stored));
    },
    blocks: storedOf,
    close: () => undefined,
  };
  return { config, weights };
}
