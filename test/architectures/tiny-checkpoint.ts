/**
 * A random BERT checkpoint in memory, with every head's weights, and the config.json that belongs to it.
 */
import { tensor } from "../../gpu-worker/tensor/tensor.ts";
import { WeightError } from "../../gpu-worker/weights/weight-source.ts";
import type { WeightSource } from "../../gpu-worker/weights/weight-source.ts";
import { numbers } from "../onnx/run-graph.ts";
import type { PlainConfig, Weights } from "./plain-bert.ts";

export const VOCABULARY = 50;
export const POSITIONS = 16;
const TYPES = 2;
const LABELS = 3;

export const plainConfig: PlainConfig = {
  hidden: 24,
  heads: 3,
  layers: 2,
  intermediate: 40,
  activation: "gelu",
};

export function configFile({ hidden, heads, layers, intermediate, activation }: PlainConfig) {
  return {
    model_type: "bert",
    vocab_size: VOCABULARY,
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: intermediate,
    hidden_act: activation,
    max_position_embeddings: POSITIONS,
    type_vocab_size: TYPES,
    layer_norm_eps: 1e-12,
  };
}

function linear(name: string, outputs: number, inputs: number): [string, number[]][] {
  return [
    [`${name}.weight`, [outputs, inputs]],
    [`${name}.bias`, [outputs]],
  ];
}

function shapes({ hidden, layers, intermediate }: PlainConfig): [string, number[]][] {
  const norm = (name: string): [string, number[]][] => [
    [`${name}.weight`, [hidden]],
    [`${name}.bias`, [hidden]],
  ];
  const layer = (name: string) => [
    ...["self.query", "self.key", "self.value", "output.dense"].flatMap((part) =>
      linear(`${name}.attention.${part}`, hidden, hidden),
    ),
    ...norm(`${name}.attention.output.LayerNorm`),
    ...linear(`${name}.intermediate.dense`, intermediate, hidden),
    ...linear(`${name}.output.dense`, hidden, intermediate),
    ...norm(`${name}.output.LayerNorm`),
  ];
  return [
    ["embeddings.word_embeddings.weight", [VOCABULARY, hidden]],
    ["embeddings.position_embeddings.weight", [POSITIONS, hidden]],
    ["embeddings.token_type_embeddings.weight", [TYPES, hidden]],
    ...norm("embeddings.LayerNorm"),
    ...Array.from({ length: layers }, (_, at) => layer(`encoder.layer.${at}`)).flat(),
    ...linear("pooler.dense", hidden, hidden),
    ...linear("classifier", LABELS, hidden),
    ...linear("qa_outputs", 2, hidden),
    ...linear("cls.predictions.transform.dense", hidden, hidden),
    ...norm("cls.predictions.transform.LayerNorm"),
    ["cls.predictions.bias", [VOCABULARY]],
  ];
}

/** Large enough for attention and GELU to leave their linear ranges; norms around 1. */
export function randomWeights(config: PlainConfig): Weights {
  const entries = shapes(config).map(([name, shape], seed) => {
    const count = shape.reduce((product, length) => product * length, 1);
    const centre = name.endsWith("LayerNorm.weight") ? 1 : 0;
    const data = numbers(count, seed + 1).map((value) => centre + value * 0.5);
    return [name, { shape, data }] as const;
  });
  return new Map(entries);
}

/** `rename` is how the file names what the weights call by the bare name. */
export function sourceOf(weights: Weights, rename: (name: string) => string): WeightSource {
  const tensors = new Map(
    [...weights].map(([name, { shape, data }]) => [rename(name), tensor("float32", shape, data)]),
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
      if (found === undefined) throw new WeightError(`there is no tensor "${name}"`);
      return found;
    },
    close: () => undefined,
  };
}
