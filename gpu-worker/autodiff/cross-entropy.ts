/**
 * Cross-entropy of logits and labels, the mean over the labels that count, as torch.nn.functional.cross_entropy has it.
 * Its gradient needs one more array of the logits' size, however large the vocabulary (rules/normalisations.ts).
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";

/** PyTorch's label for what does not count. */
export const ignoredLabel = -100;

export type CrossEntropyInputs = {
  /** [rows, classes]. */
  readonly logits: Value;
  /** int64 [rows]. Those of `ignoredLabel` do not count, others must be a class. */
  readonly labels: Value;
};

/** Sum over the rows that count, and their number, both [] of the logits' dtype: parts of a batch add up. */
export function crossEntropySum(
  graph: GraphBuilder,
  { logits, labels }: CrossEntropyInputs,
): { readonly sum: Value; readonly count: Value } {
  const ignored = labels.op("Equal", [graph.scalar("int64", ignoredLabel)]);
  const counts = ignored.op("Not").cast(logits.dtype);
  const known = graph.op("Where", [ignored, graph.scalar("int64", 0), labels]);
  const logProbabilities = logits
    .op("LogSoftmax", [], { axis: -1 })
    .op("GatherElements", [known.unsqueeze([1])], { axis: 1 })
    .squeeze([1]);
  const sum = logProbabilities.mul(counts).sum([0], false).neg();
  return { sum, count: counts.sum([0], false) };
}

/** []: the mean; 0 where no label counts. */
export function crossEntropy(graph: GraphBuilder, inputs: CrossEntropyInputs): Value {
  const { sum, count } = crossEntropySum(graph, inputs);
  return sum.div(count.max(1));
}
