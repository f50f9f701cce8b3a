/**
 * Losses as parts of a graph, each one number, f32 []. As transformers computes them for its heads, and
 * sentence-transformers for pairs of texts.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";

export type LabelledRows = {
  /** f32 [rows, classes]. */
  readonly logits: Value;
  /** int64 [rows]. A row whose label is below 0 does not count; torch.nn.CrossEntropyLoss's is −100. */
  readonly labels: Value;
};

/** 1 for a row that counts, f32 of the shape of `labels`. */
function counted(graph: GraphBuilder, labels: Value): Value {
  return labels.op("GreaterOrEqual", [graph.scalar("int64", 0)]).cast("float32");
}

/** −log p of each row's label, f32 [rows]; 0 where it does not count. */
function negativeLogLikelihoods(graph: GraphBuilder, { logits, labels }: LabelledRows): Value {
  const logProbabilities = logits.op("LogSoftmax", [], { axis: -1 });
  const column = labels.max(0).unsqueeze([1]);
  const own = logProbabilities.op("GatherElements", [column], { axis: 1 }).squeeze([1]);
  return own.mul(counted(graph, labels)).neg();
}

/** How many rows count, at least 1. */
function countOf(graph: GraphBuilder, labels: Value): Value {
  return counted(graph, labels).sum([0], false).max(1);
}

/** The mean over the rows that count. */
export function crossEntropy(graph: GraphBuilder, rows: LabelledRows): Value {
  const sum = negativeLogLikelihoods(graph, rows).sum([0], false);
  return sum.div(countOf(graph, rows.labels));
}

/** As even as can be, of the rows of `labels`, int64 [slices]; some are 0 where rows are few. */
function sliceLengths(graph: GraphBuilder, labels: Value, slices: number): Value {
  const rows = labels.op("Shape");
  const bounds = (from: number) =>
    graph
      .integers(Array.from({ length: slices }, (_, at) => at + from))
      .mul(rows)
      .div(slices);
  return bounds(1).sub(bounds(0));
}

/**
 * The same of logits that are too many to be held at once: `score` makes those of some of the `states` [rows, width].
 * @param slices as many parts the rows are scored in
 */
export function slicedCrossEntropy(
  graph: GraphBuilder,
  { states, labels, slices }: { states: Value; labels: Value; slices: number },
  score: (states: Value) => Value,
): Value {
  if (slices === 1) return crossEntropy(graph, { logits: score(states), labels });
  const lengths = sliceLengths(graph, labels, slices);
  const split = (value: Value) => graph.ops("Split", [value, lengths], { axis: 0 }, slices);
  const labelParts = split(labels);
  const sums = split(states).flatMap((part, at) => {
    const own = labelParts[at];
    if (own === undefined) return [];
    return negativeLogLikelihoods(graph, { logits: score(part), labels: own }).sum([0], false);
  });
  return sums.reduce((total, sum) => total.add(sum)).div(countOf(graph, labels));
}

/**
 * Of classes that each stand for themselves, the mean over all (torch.nn.BCEWithLogitsLoss). Of two classes 0 and
 * logit, so that it is exact and has a gradient at every logit.
 * @param labels f32, of the shape of `logits` [batch, classes]
 */
export function binaryCrossEntropy(graph: GraphBuilder, logits: Value, labels: Value): Value {
  const on = logits.unsqueeze([2]);
  const both = on.op("Concat", [on.mul(0)], { axis: 2 }).op("LogSoftmax", [], { axis: -1 });
  const of = (at: number) => both.gather(graph.scalar("int64", at), 2);
  const likelihood = of(0)
    .mul(labels)
    .add(of(1).mul(graph.scalar("float32", 1).sub(labels)));
  return likelihood.op("ReduceMean", [graph.integers([0, 1])], { keepdims: 0 }).neg();
}

/** Mean of the squared differences; both f32 [batch]. */
export function meanSquaredError(graph: GraphBuilder, given: Value, wanted: Value): Value {
  const difference = given.sub(wanted);
  return difference.mul(difference).op("ReduceMean", [graph.integers([0])], { keepdims: 0 });
}

/** sentence-transformers' factor of the cosines. */
const cosineScale = 20;

/**
 * Of pairs of texts that belong together: each first text has to find its second among all (Henderson et al.,
 * https://arxiv.org/abs/1705.00652; sentence-transformers' MultipleNegativesRankingLoss).
 * @param vectors f32 [2·pairs, width] of length 1: all first texts, then all second ones
 */
export function inBatchContrast(graph: GraphBuilder, vectors: Value): Value {
  const [first, second] = graph.ops("Split", [vectors], { axis: 0, num_outputs: 2 }, 2);
  if (!first || !second) throw new TypeError("a split gives two");
  const logits = first.op("Gemm", [second], { transB: 1, alpha: cosineScale });
  const pairs = first.op("Shape").gather(graph.scalar("int64", 0), 0);
  const [zero, one] = [graph.scalar("int64", 0), graph.scalar("int64", 1)];
  return crossEntropy(graph, { logits, labels: graph.op("Range", [zero, pairs, one]) });
}
