/** The toy encoder with a classifier on top, its logits said by a function or by a linear head. */
import type { LinearHead } from "../../gpu-worker/model/linear-head.ts";
import { type ToyEncoder, type ToyLogits, toyEncoder } from "./toy-encoder.ts";

type Shape = {
  problem?: "single_label" | "multi_label" | "regression";
  logits?: ToyLogits;
  linear?: LinearHead;
  maxTokens?: number;
};

export function toyClassifier(labels: string[], shape: Shape = {}): ToyEncoder {
  const { problem = "single_label", logits, linear = null, maxTokens } = shape;
  return {
    ...toyEncoder(maxTokens, logits),
    tasks: ["text-classification"],
    head: { name: "sequence-classification", labels, problem, linear },
    // Of a graph that ends in `logits`.
    ...(linear === null ? { sentence: null } : {}),
  };
}

/** Weights as rows of two features. */
export function toyHead(
  pooling: LinearHead["pooling"],
  rows: number[][],
  bias = rows.map(() => 0),
): LinearHead {
  return { pooling, weight: Float32Array.from(rows.flat()), bias: Float32Array.from(bias) };
}
