/** The graph of a model's folder with its head in it, in f32: an adapter's is its base's, with the adapter merged. */
import type { Head } from "../architectures/encoder-head.ts";
import { buildWholeEncoder } from "../architectures/encoder.ts";
import { transposeMatrix } from "../architectures/transpose-matrix.ts";
import type { AdapterHead } from "../checkpoints/adapter-folder.ts";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { sentenceHeadOf } from "../graphs/sentence-head-of.ts";
import type { Graph } from "../onnx/graph.ts";
import { GraphBuilder } from "../onnx/graph-builder.ts";
import { float32 } from "../tensor/tensor.ts";
import type { WeightSource } from "../weights/weight-source.ts";

function build({ config }: Checkpoint, weights: WeightSource, head: Head): Graph {
  return buildWholeEncoder(config, weights, { head, form: "f32" });
}

/** With the texts' own prompts pooled: the script puts none before a text. */
function sentenceHead({ folder, sentence }: Checkpoint): Head | null {
  return sentence === null ? null : { ...sentenceHeadOf(folder, sentence), masked: false };
}

/** @throws Error for what has no graph; WeightError, ConfigError */
export function graphOfCheckpoint(checkpoint: Checkpoint, weights: WeightSource): Graph {
  const { head } = checkpoint;
  const own: Head =
    "labels" in head ? { name: head.name, labels: head.labels.length } : { name: head.name };
  return build(checkpoint, weights, sentenceHead(checkpoint) ?? own);
}

/** As the served one reads it: `logits` of the features that the adapter's pooling makes. */
export function graphOfAdapter(
  base: Checkpoint,
  weights: WeightSource,
  { pooling, weight, bias }: Pick<AdapterHead, "pooling" | "weight" | "bias">,
): Graph {
  if (pooling === "spans" || pooling === "marks") {
    throw new Error("its head reads parts of a text, which no graph of ours marks: not exported");
  }
  const own = [base.sentence?.pooling].flat().join() === pooling ? sentenceHead(base) : null;
  const pooled: Head = {
    name: "sentence",
    pooling: pooling === "none" ? "mean" : pooling,
    normalize: false,
  };
  const graph = GraphBuilder.from(build(base, weights, own ?? pooled));
  const features = graph.value(pooling === "none" ? "last_hidden_state" : "pooled");
  const width = weight.length / bias.length;
  const matrix = graph.constant(float32([width, bias.length], transposeMatrix(weight, width)));
  graph.output("logits", features.matMul(matrix).add(graph.constant(float32([bias.length], bias))));
  return graph.build();
}
