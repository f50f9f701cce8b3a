/**
 * One vector per text from its tokens' hidden states, as sentence-transformers makes it (its modules Pooling, Dense,
 * LayerNorm and Normalize), inside the graph or in one of its own; and the states for whoever pools otherwise.
 */
import type { Graph } from "../onnx/graph.ts";
import { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import { float32 } from "../tensor/tensor.ts";
import { activate } from "./activation.ts";
import type { Pooling, SentenceHead, SentenceStage } from "./encoder-head.ts";
import { transposeMatrix } from "./transpose-matrix.ts";

/** torch.nn.functional.normalize's. */
const lengthMin = 1e-12;
/** sentence-transformers', for a text without tokens. */
const countMin = 1e-9;
const farBelow = -1e30;
/** torch.nn.LayerNorm's. */
const layerNormEpsilon = 1e-5;

export type TokenStates = {
  /** f32 [batch, sequence, hidden]. */
  readonly hidden: Value;
  /** f32 [batch, sequence], 1 for a token, 0 for padding, which is on the right. */
  readonly mask: Value;
};

type PooledStates = TokenStates & {
  readonly graph: GraphBuilder;
  /** f32 [batch, sequence], 1 for a token that is pooled; null: all tokens are. */
  readonly chosen: Value | null;
};

/** Σ weight·state, [batch, hidden]; `weights` f32 [batch, sequence]. */
function weightedSum({ hidden }: TokenStates, weights: Value): Value {
  return weights.unsqueeze([1]).matMul(hidden).squeeze([1]);
}

/** 1, 2, 3 … along each text where `mask` is 1, and the last such number after it. */
function counted({ graph }: PooledStates, mask: Value): Value {
  return mask.op("CumSum", [graph.scalar("int64", 1)]);
}

const poolings: { readonly [P in Pooling]: (states: PooledStates) => Value } = {
  mean: (states) => {
    const chosen = states.chosen ?? states.mask;
    return weightedSum(states, chosen).div(chosen.sum([1], true).max(countMin));
  },
  cls: (states) => {
    if (states.chosen === null) return states.hidden.slice(1, 0, 1).squeeze([1]);
    const first = counted(states, states.chosen).op("Equal", [states.graph.scalar("float32", 1)]);
    return weightedSum(states, first.cast("float32").mul(states.chosen));
  },
  max: ({ hidden, mask, chosen }) => {
    const left = (chosen ?? mask).sub(1).mul(-farBelow).unsqueeze([2]);
    return hidden.add(left).reduceMax([1], false);
  },
  mean_sqrt_len_tokens: (states) => {
    const chosen = states.chosen ?? states.mask;
    return weightedSum(states, chosen).div(chosen.sum([1], true).max(countMin).sqrt());
  },
  // Places count from the text's first token, also where a prompt's tokens are left out.
  weightedmean: (states) => {
    const weights = counted(states, states.mask).mul(states.chosen ?? states.mask);
    return weightedSum(states, weights).div(weights.sum([1], true).max(countMin));
  },
  lasttoken: (states) => {
    const chosen = states.chosen ?? states.mask;
    const last = counted(states, chosen).op("Equal", [chosen.sum([1], true)]);
    return weightedSum(states, last.cast("float32").mul(chosen));
  },
};

function toUnit(x: Value): Value {
  return x.div(x.l2([-1], true).max(lengthMin));
}

/** x·matrixᵀ + bias, for a matrix [outputs, inputs]. */
function product(
  graph: GraphBuilder,
  x: Value,
  { matrix, bias, inputs }: { matrix: Float32Array; bias: Float32Array | null; inputs: number },
): Value {
  const outputs = matrix.length / inputs;
  const weight = graph.constant(float32([inputs, outputs], transposeMatrix(matrix, inputs)));
  if (bias === null) return x.matMul(weight);
  return x.op("Gemm", [weight, graph.constant(float32([outputs], bias))]);
}

/** `x` f32 [batch, width] through one stage. */
function applyStage(graph: GraphBuilder, x: Value, stage: SentenceStage): Value {
  switch (stage.kind) {
    case "normalize":
      return toUnit(x);
    case "layer-norm": {
      const shape = [stage.weight.length];
      const parts = [stage.weight, stage.bias].map((part) => graph.constant(float32(shape, part)));
      return x.op("LayerNormalization", parts, { axis: -1, epsilon: layerNormEpsilon });
    }
    case "dense": {
      const { weight: matrix, bias, inputs, residual } = stage;
      const made = activate(stage.activation, product(graph, x, { matrix, bias, inputs }));
      if (residual === null) return made;
      const kept =
        residual === "input" ? x : product(graph, x, { matrix: residual, bias: null, inputs });
      return made.add(kept);
    }
  }
}

/** Several poolings side by side. */
function pool(states: PooledStates, pooling: SentenceHead["pooling"]): Value {
  const [first, ...others] = [pooling].flat().map((each) => poolings[each](states));
  if (first === undefined) throw new Error("a sentence head needs a pooling");
  return others.length === 0 ? first : first.op("Concat", others, { axis: -1 });
}

/** A vector for each text, f32 [batch, width], of length 1 if `normalize`. */
export function pooledVectors(
  graph: GraphBuilder,
  states: TokenStates,
  { pooling, normalize }: Pick<SentenceHead, "pooling" | "normalize">,
): Value {
  const pooled = pool({ ...states, graph, chosen: null }, pooling);
  return normalize ? toUnit(pooled) : pooled;
}

export function sentenceHead(
  graph: GraphBuilder,
  states: TokenStates,
  { pooling, stages = [], normalize, keep = null, masked = false }: SentenceHead,
): void {
  const shape = ["batch", "sequence"];
  const chosen = masked ? graph.input("pooling_mask", "int64", shape).cast("float32") : null;
  const joined = pool({ ...states, graph, chosen }, pooling);
  const pooled = stages.reduce((x, stage) => applyStage(graph, x, stage), joined);
  const cut = (x: Value) => (keep === null ? x : x.slice(1, 0, keep));
  graph.output("pooled", cut(pooled));
  graph.output("sentence_embedding", cut(normalize ? toUnit(pooled) : pooled));
  graph.output("last_hidden_state", states.hidden);
}

/** The head as a graph of its own, on `last_hidden_state` f32 [batch, sequence, hidden] and `attention_mask`. */
export function buildSentenceHead(hidden: number, head: SentenceHead): Graph {
  const graph = new GraphBuilder("sentence-head");
  const states = graph.input("last_hidden_state", "float32", ["batch", "sequence", hidden]);
  const mask = graph.input("attention_mask", "int64", ["batch", "sequence"]);
  sentenceHead(graph, { hidden: states, mask: mask.cast("float32") }, head);
  return graph.build();
}
