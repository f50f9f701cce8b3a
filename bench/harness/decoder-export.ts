/**
 * A decoder as transformers.js loads it: `onnx/model.onnx` by our builder in f32, with the hub's input names
 * (`input_ids`, `attention_mask`, `past_key_values.N.key` …) and logits of each text's last token [batch, 1,
 * vocabulary]. It is asked in token ids, so no tokenizer lies there.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { buildDecoder } from "../../gpu-worker/architectures/decoder.ts";
import type {
  Attribute,
  Graph,
  Initializer,
  NamedType,
  Node,
} from "../../gpu-worker/onnx/graph.ts";
import { writeModel } from "../../gpu-worker/onnx/write-model.ts";
import { openGgufCheckpoint } from "../../gpu-worker/weights/gguf-checkpoint.ts";

function node(operator: string, inputs: string[], output: string, attributes = {}): Node {
  return { name: `hub.${output}`, domain: "", operator, inputs, outputs: [output], attributes };
}

function int64(name: string, values: readonly number[], shape: readonly number[]): Initializer {
  return { name, dtype: "int64", shape, load: () => BigInt64Array.from(values, BigInt) };
}

const toInt32: Record<string, Attribute> = { to: { kind: "int", value: 6n } };

/** What our own inputs are of the hub's. */
const derived: readonly Node[] = [
  node("ReduceSum", ["attention_mask", "hub.one"], "hub.counts", {
    keepdims: { kind: "int", value: 0n },
  }),
  node("Cast", ["hub.counts"], "lengths", toInt32),
  node("Shape", ["attention_mask"], "hub.mask_shape"),
  node("Gather", ["hub.mask_shape", "hub.second"], "hub.total"),
  node("Cast", ["hub.total"], "total_length", toInt32),
  node("Shape", ["input_ids"], "hub.ids_shape"),
  node("Gather", ["hub.ids_shape", "hub.second"], "hub.sequence"),
  node("ReduceProd", ["hub.ids_shape", "hub.zeroth"], "hub.tokens", {
    keepdims: { kind: "int", value: 0n },
  }),
  node("Sub", ["hub.sequence", "hub.second"], "hub.first"),
  node("Range", ["hub.first", "hub.tokens", "hub.sequence"], "positions"),
];

const constants: readonly Initializer[] = [
  int64("hub.one", [1], [1]),
  int64("hub.zeroth", [0], [1]),
  int64("hub.second", [1], []),
];

/** transformers.js makes its first, empty past by the names of the dimensions: what it does not know is 0. */
function inHubDims(value: NamedType): NamedType {
  return { ...value, shape: value.shape.map((dim) => (dim === "batch" ? "batch_size" : dim)) };
}

const ofPiece = ({ name }: NamedType) => name.startsWith("piece");

/** No piece of a prompt is ever read beside new tokens: ONNX Runtime leaves the branches for it out when it loads. */
function withoutPiece({ name, dtype, shape }: NamedType): Initializer {
  if (dtype === "int32") return { name, dtype, shape: [1], load: () => Int32Array.of(0) };
  const empty = shape.map((size) => (typeof size === "number" ? size : 0));
  return { name, dtype, shape: empty, load: () => new Float32Array() };
}

/** The same graph under the hub's names. Texts of a batch are of one length: padding stands on our other side. */
function underHubNames(graph: Graph): Graph {
  const ours = new Set(["lengths", "total_length", "positions"]);
  const mask: NamedType = { name: "attention_mask", dtype: "int64", shape: ["batch", "total"] };
  const last = graph.nodes.map((each) => ({
    ...each,
    outputs: each.outputs.map((name) => (name === "logits" ? "hub.rows" : name)),
  }));
  return {
    ...graph,
    inputs: [...graph.inputs.filter((each) => !ours.has(each.name) && !ofPiece(each)), mask].map(
      inHubDims,
    ),
    outputs: graph.outputs
      .filter((each) => !ofPiece(each))
      .map((value) =>
        value.name === "logits" ? { ...value, shape: ["batch", 1, value.shape[1] ?? 0] } : value,
      ),
    initializers: [
      ...graph.initializers,
      ...graph.inputs.filter(ofPiece).map(withoutPiece),
      ...constants,
    ],
    nodes: [...derived, ...last, node("Unsqueeze", ["hub.rows", "hub.one"], "logits")],
  };
}

/** @returns `target` */
export async function exportDecoder(
  gguf: string,
  target: string,
  positions: number,
): Promise<string> {
  rmSync(target, { recursive: true, force: true });
  mkdirSync(path.join(target, "onnx"), { recursive: true });
  const { config, weights } = openGgufCheckpoint(gguf);
  try {
    const graph = underHubNames(buildDecoder(config, weights, { positions }));
    await writeModel(graph, path.join(target, "onnx", "model.onnx"));
  } finally {
    weights.close();
  }
  writeFileSync(path.join(target, "config.json"), JSON.stringify(config));
  return target;
}
