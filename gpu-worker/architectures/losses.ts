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

/** −log p of each row's label, f32 [rows]; 0 where it does not count. @param smoothing see `crossEntropy` */
function negativeLogLikelihoods(
  graph: GraphBuilder,
  { logits, labels }: LabelledRows,
  smoothing = 0,
): Value {
  const logProbabilities = logits.op("LogSoftmax", [], { axis: -1 });
  const column = labels.max(0).unsqueeze([1]);
  const own = logProbabilities.op("GatherElements", [column], { axis: 1 }).squeeze([1]);
  const wanted =
    smoothing === 0 ? own : smoothed(graph, { own, all: logProbabilities, share: smoothing });
  return wanted.mul(counted(graph, labels)).neg();
}

function smoothed(
  graph: GraphBuilder,
  { own, all, share }: { readonly own: Value; readonly all: Value; readonly share: number },
): Value {
  const mean = all.op("ReduceMean", [graph.integers([1])], { keepdims: 0 });
  return own.mul(1 - share).add(mean.mul(share));
}

/** How many rows count, at least 1. */
function countOf(graph: GraphBuilder, labels: Value): Value {
  return counted(graph, labels).sum([0], false).max(1);
}

/**
 * The mean over the rows that count.
 * @param labelSmoothing of what is wanted, so much is spread over all classes evenly (torch.nn.CrossEntropyLoss's)
 */
export function crossEntropy(graph: GraphBuilder, rows: LabelledRows, labelSmoothing = 0): Value {
  const sum = negativeLogLikelihoods(graph, rows, labelSmoothing).sum([0], false);
  return sum.div(countOf(graph, rows.labels));
}

export type TokenScores = {
  /** log p of each row's label, f32 [rows]. */
  readonly logLikelihoods: Value;
  /** 1 where no class is likelier than the label, f32 [rows]. */
  readonly hits: Value;
};

function tokenScores(graph: GraphBuilder, rows: LabelledRows): TokenScores {
  const logLikelihoods = negativeLogLikelihoods(graph, rows).neg();
  const best = rows.logits
    .op("LogSoftmax", [], { axis: -1 })
    .op("ReduceMax", [graph.integers([-1])], { keepdims: 0 });
  const hits = logLikelihoods.op("GreaterOrEqual", [best]).cast("float32");
  return { logLikelihoods, hits };
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

export type SlicedRows = {
  /** f32 [rows, width]. */
  readonly states: Value;
  /** int64 [rows]. */
  readonly labels: Value;
  /** In as many parts the rows are scored. */
  readonly slices: number;
};

/** Rows whose logits, which `score` makes of states, are too many to be held at once. */
function slicesOf(
  graph: GraphBuilder,
  { states, labels, slices }: SlicedRows,
  score: (states: Value) => Value,
): LabelledRows[] {
  if (slices === 1) return [{ logits: score(states), labels }];
  const lengths = sliceLengths(graph, labels, slices);
  const split = (value: Value) => graph.ops("Split", [value, lengths], { axis: 0 }, slices);
  const labelParts = split(labels);
  return split(states).flatMap((part, at) => {
    const own = labelParts[at];
    return own === undefined ? [] : [{ logits: score(part), labels: own }];
  });
}

/** As `crossEntropy`, slice by slice. */
export function slicedCrossEntropy(
  graph: GraphBuilder,
  rows: SlicedRows,
  score: (states: Value) => Value,
): Value {
  const sums = slicesOf(graph, rows, score).map((part) =>
    negativeLogLikelihoods(graph, part).sum([0], false),
  );
  return sums.reduce((total, sum) => total.add(sum)).div(countOf(graph, rows.labels));
}

/** Of all rows, slice by slice. */
export function slicedTokenScores(
  graph: GraphBuilder,
  rows: SlicedRows,
  score: (states: Value) => Value,
): TokenScores {
  const parts = slicesOf(graph, rows, score).map((part) => tokenScores(graph, part));
  const joined = (values: readonly Value[]) => graph.op("Concat", values, { axis: 0 });
  return {
    logLikelihoods: joined(parts.map(({ logLikelihoods }) => logLikelihoods)),
    hits: joined(parts.map(({ hits }) => hits)),
  };
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
 * Of texts and what belongs to them: each has to find its own among all candidates (Henderson et al.,
 * https://arxiv.org/abs/1705.00652; sentence-transformers' MultipleNegativesRankingLoss).
 * @param vectors f32 [texts + candidates, width] of length 1: all texts, then all candidates
 * @param labels int64 [texts], the index of each one's own among the candidates
 */
export function inBatchContrast(graph: GraphBuilder, vectors: Value, labels: Value): Value {
  const texts = labels.op("Shape");
  const all = vectors.op("Shape", [], { start: 0, end: 1 });
  const lengths = graph.op("Concat", [texts, all.sub(texts)], { axis: 0 });
  const [own, candidates] = graph.ops("Split", [vectors, lengths], { axis: 0 }, 2);
  if (!own || !candidates) throw new TypeError("a split gives two");
  const logits = own.op("Gemm", [candidates], { transB: 1, alpha: cosineScale });
  return crossEntropy(graph, { logits, labels });
}

/**
 * How far the cosines of pairs are from what they should be, squared (sentence-transformers' CosineSimilarityLoss).
 * @param vectors f32 [2·pairs, width] of length 1: all first texts, then all second ones
 * @param wanted f32 [pairs]
 */
export function cosineError(graph: GraphBuilder, vectors: Value, wanted: Value): Value {
  const [first, second] = graph.ops("Split", [vectors], { axis: 0, num_outputs: 2 }, 2);
  if (!first || !second) throw new TypeError("a split gives two");
  return meanSquaredError(graph, first.mul(second).sum([1], false), wanted);
}
