/** The graph of a model's folder with its head in it, in f32: an adapter's is its base's, with the adapter merged. */
import type { Head } from "../architectures/encoder-head.ts";
import { buildWholeEncoder } from "../architectures/encoder.ts";
import { transposeMatrix } from "../architectures/transpose-matrix.ts";
import type { AdapterHead } from "../checkpoints/adapter-folder.ts";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { sentenceHeadOf } from "../graphs/sentence-head-of.ts";
import type { Graph } from "../onnx/graph.ts";
import { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import { float32 } from "../tensor/tensor.ts";
import type { WeightSource } from "../weights/weight-source.ts";

/** Of a head that finds answers, by row of its classifier. */
export const answerOutputs = ["start_logits", "end_logits"];

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

/** Whether its head reads two parts of a text; with their marks, or the bare text. */
export function partsOf({ pooling }: Pick<AdapterHead, "pooling">): "marks" | "spans" | null {
  return pooling === "marks" || pooling === "spans" ? pooling : null;
}

/**
 * The mean over each part, then over all tokens, [batch, 3 · hidden], as pipelines/relation-head.ts has them. Inputs of
 * the parts: int64 [batch, sequence], 1 for each token of the part.
 */
function partFeatures(graph: GraphBuilder): Value {
  const states = graph.value("last_hidden_state");
  const meanOver = (name: string) => {
    const tokens = graph.input(name, "int64", ["batch", "sequence"]).cast("float32");
    const sum = tokens.unsqueeze([1]).matMul(states).squeeze([1]);
    return sum.div(tokens.sum([1], true));
  };
  return meanOver("head_tokens").op("Concat", [meanOver("tail_tokens"), graph.value("pooled")], {
    axis: 1,
  });
}

/**
 * As the served one reads it: `logits` of the features that the adapter's pooling makes; of answers, `start_logits` and
 * `end_logits`.
 */
export function graphOfAdapter(
  base: Checkpoint,
  weights: WeightSource,
  { task, pooling, weight, bias }: Pick<AdapterHead, "task" | "pooling" | "weight" | "bias">,
): Graph {
  const parts = partsOf({ pooling });
  const own = [base.sentence?.pooling].flat().join() === pooling ? sentenceHead(base) : null;
  const pooled: Head = {
    name: "sentence",
    pooling: pooling === "none" || pooling === "marks" || pooling === "spans" ? "mean" : pooling,
    normalize: false,
  };
  const graph = GraphBuilder.from(build(base, weights, own ?? pooled));
  const features =
    parts === null
      ? graph.value(pooling === "none" ? "last_hidden_state" : "pooled")
      : partFeatures(graph);
  const width = weight.length / bias.length;
  const matrix = graph.constant(float32([width, bias.length], transposeMatrix(weight, width)));
  const logits = features.matMul(matrix).add(graph.constant(float32([bias.length], bias)));
  if (task !== "question-answering") graph.output("logits", logits);
  else {
    for (const [at, name] of answerOutputs.entries()) {
      graph.output(name, logits.gather(graph.scalar("int64", at), 2));
    }
  }
  return graph.build();
}
