/**
 * A random BERT checkpoint in memory, with every head's weights, and the config.json that belongs to it.
 */
import { tensor } from "../../gpu-worker/tensor/tensor.ts";
import { memoryWeights } from "../../gpu-worker/weights/memory-weights.ts";
import type { WeightSource } from "../../gpu-worker/weights/weight-source.ts";
import { numbers } from "../onnx/run-graph.ts";
import type { PlainConfig, Weights } from "./plain-bert.ts";

export const vocabulary = 50;
export const positions = 16;
const types = 2;
const labels = 3;

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
    vocab_size: vocabulary,
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: intermediate,
    hidden_act: activation,
    max_position_embeddings: positions,
    type_vocab_size: types,
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
    ["embeddings.word_embeddings.weight", [vocabulary, hidden]],
    ["embeddings.position_embeddings.weight", [positions, hidden]],
    ["embeddings.token_type_embeddings.weight", [types, hidden]],
    ...norm("embeddings.LayerNorm"),
    ...Array.from({ length: layers }, (_, at) => layer(`encoder.layer.${at}`)).flat(),
    ...linear("pooler.dense", hidden, hidden),
    ...linear("classifier", labels, hidden),
    ...linear("qa_outputs", 2, hidden),
    ...linear("cls.predictions.transform.dense", hidden, hidden),
    ...norm("cls.predictions.transform.LayerNorm"),
    ["cls.predictions.bias", [vocabulary]],
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
  const tensors = [...weights].map(
    ([name, { shape, data }]) => [rename(name), tensor("float32", shape, data)] as const,
  );
  return memoryWeights(new Map(tensors));
}
