/**
 * A small encoder with made-up weights, of the operators that served ones have: what a device has to compute as the CPU
 * does before it is used (runtime/self-test.ts). Its sizes are fixed, so that ONNX Runtime folds away what it computes
 * of shapes, which it would put on the CPU for any device.
 */
import type { ComputeForm } from "../architectures/encoder-head.ts";
import { buildEncoder } from "../architectures/encoder.ts";
import { encodeModel } from "../onnx/encode-model.ts";
import type { Graph, NamedType } from "../onnx/graph.ts";
import type { DeviceProbe } from "../runtime/self-test.ts";
import type { WeightSource } from "../weights/weight-source.ts";

/** Texts of different lengths, so that padding is there to be left out. */
const lengths = [24, 17, 9, 1];
const sequence = Math.max(...lengths);
const [hidden, intermediate, layers, vocabulary] = [128, 512, 2, 64];

const config = {
  model_type: "bert",
  vocab_size: vocabulary,
  hidden_size: hidden,
  num_hidden_layers: layers,
  num_attention_heads: 4,
  intermediate_size: intermediate,
  hidden_act: "gelu",
  max_position_embeddings: sequence,
  type_vocab_size: 2,
  layer_norm_eps: 1e-12,
};

function shapes(): Map<string, number[]> {
  const found = new Map<string, number[]>([
    ["embeddings.word_embeddings.weight", [vocabulary, hidden]],
    ["embeddings.position_embeddings.weight", [sequence, hidden]],
    ["embeddings.token_type_embeddings.weight", [2, hidden]],
  ]);
  const linear = (name: string, outputs: number, inputs: number) =>
    found.set(`${name}.weight`, [outputs, inputs]).set(`${name}.bias`, [outputs]);
  const norm = (name: string) => linear(name, hidden, 1).set(`${name}.weight`, [hidden]);
  norm("embeddings.LayerNorm");
  for (let at = 0; at < layers; at += 1) {
    const layer = `encoder.layer.${at}`;
    for (const part of ["self.query", "self.key", "self.value", "output.dense"]) {
      linear(`${layer}.attention.${part}`, hidden, hidden);
    }
    norm(`${layer}.attention.output.LayerNorm`);
    linear(`${layer}.intermediate.dense`, intermediate, hidden);
    linear(`${layer}.output.dense`, hidden, intermediate);
    norm(`${layer}.output.LayerNorm`);
  }
  return found;
}

/**
 * −0.25 … 0.25 by a fixed sequence, norms around 1: attention and GELU leave their linear ranges, nothing overflows.
 */
function numbers(name: string, count: number): Float32Array {
  let state = count;
  for (const character of name) state = Math.imul(state, 31) + character.charCodeAt(0);
  const centre = name.endsWith("LayerNorm.weight") ? 1 : 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return centre + (state / 2 ** 32 - 0.5) / 2;
  });
}

function madeUpWeights(): WeightSource {
  const tensors = new Map(
    [...shapes()].map(([name, shape]) => {
      const count = shape.reduce((product, size) => product * size, 1);
      return [name, { dtype: "float32" as const, shape, data: numbers(name, count) }];
    }),
  );
  return {
    metadata: {},
    names: () => [...tensors.keys()],
    entry: (name) => {
      const found = tensors.get(name);
      if (found === undefined) return null;
      return { name, dtype: found.dtype, shape: found.shape, byteLength: found.data.byteLength };
    },
    read: (name) => {
      const found = tensors.get(name);
      if (found === undefined) throw new Error(`the probe has no ${name}`);
      return found;
    },
    close: () => undefined,
  };
}

/** Sizes instead of names, and no Identity in front of an output: opset 21 has one that CUDA has no kernel for. */
function fixed(graph: Graph): Graph {
  const sizes: Readonly<Record<string, number>> = { batch: lengths.length, sequence };
  const sized = ({ shape, ...value }: NamedType) => ({
    ...value,
    shape: shape.map((dim) => sizes[dim] ?? dim),
  });
  const copies = graph.nodes.filter(({ operator }) => operator === "Identity");
  const named = new Map(copies.map(({ inputs, outputs }) => [inputs[0] ?? "", outputs[0] ?? ""]));
  const rename = (names: readonly string[]) => names.map((name) => named.get(name) ?? name);
  return {
    ...graph,
    inputs: graph.inputs.map(sized),
    outputs: graph.outputs.map(sized),
    nodes: graph.nodes
      .filter((node) => !copies.includes(node))
      .map((node) => ({ ...node, inputs: rename(node.inputs), outputs: rename(node.outputs) })),
  };
}

function compile(form: ComputeForm): Promise<Uint8Array> {
  const head = { name: "sentence", pooling: "mean", normalize: true } as const;
  const graph = buildEncoder(config, madeUpWeights(), { head, form, packed: true });
  return encodeModel(fixed(graph));
}

/** [texts, sequence], by row and column. */
function grid(value: (row: number, column: number) => number) {
  const cells = lengths.flatMap((_, row) =>
    Array.from({ length: sequence }, (__, column) => BigInt(value(row, column))),
  );
  const shape = [lengths.length, sequence];
  return { dtype: "int64" as const, shape, data: BigInt64Array.from(cells) };
}

export async function deviceProbe(): Promise<DeviceProbe> {
  return {
    f32: await compile("f32"),
    f16: await compile("f16"),
    feeds: {
      input_ids: grid((row, column) => (7 * row + 5 * column) % vocabulary),
      attention_mask: grid((row, column) => (column < (lengths[row] ?? 0) ? 1 : 0)),
      token_type_ids: grid((_, column) => column % 2),
    },
  };
}
