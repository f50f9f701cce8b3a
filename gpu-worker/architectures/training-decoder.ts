/**
 * Decoders as graphs that train. What causal-transformer.ts serves in one operator is composed here of those that have
 * gradients; whole texts are read at once, without kept keys and values. Several texts may share a row:
 *
 * - `input_ids`, `position_ids`, `segment_ids` int64 [batch, sequence]: tokens, each with its place in its text, and
 *   the number of that text in the row. A token sees those before it of its own text; padding is a text of its own.
 * - `positions` int64 [asked]: tokens by their index in the flattened [batch · sequence], whose next token counts, and
 *   `labels` int64 [asked], that next token.
 * - `loss` f32 []: the mean cross-entropy. Instead, to evaluate: `log_likelihoods` and `hits` f32 [asked], of each
 *   label its log p and whether no token is likelier; or, without labels, `logits` f32 [asked, vocabulary].
 *
 * Tensors are inputs under their names in the checkpoint; adapters and virtual tokens as in training-encoder.ts.
 */
import { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Graph } from "../onnx/graph.ts";
import type { Value } from "../onnx/value.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { activate } from "./activation.ts";
import {
  type DecoderArchitecture,
  type DecoderLayer,
  decoderPrefixes,
} from "./decoder-architecture.ts";
import type { LinearLayers } from "./linear-layers.ts";
import { slicedCrossEntropy, slicedTokenScores } from "./losses.ts";
import { Parameters } from "./parameters.ts";
import { ropeTables } from "./rope.ts";
import type { Rope, RopeTables } from "./rope.ts";
import { trainableLayers, trainingPrefixes } from "./trainable-layers.ts";
import type { TrainingOptions } from "./training-encoder.ts";
import { withVirtualTokens } from "./virtual-tokens.ts";

export type DecoderTrainingOptions = Omit<TrainingOptions, "dropout"> & {
  /** Tokens of the longest text; a row that several share may be longer. */
  readonly positions: number;
  /** What it gives. Default: the loss. */
  readonly gives?: "loss" | "scores" | "logits";
  /** In as many parts the tokens asked for are scored, where all their logits would be too many. Default 1. */
  readonly slices?: number;
};

/** Least float32: hides a token from a softmax. */
const hiddenScore = -3.4028234663852886e38;

type Decoder = {
  readonly architecture: DecoderArchitecture;
  readonly parameters: Parameters;
  readonly layers: LinearLayers;
  /** All int64 [batch, sequence]. */
  readonly ids: Value;
  readonly places: Value;
  /** int64 [2]. */
  readonly gridShape: Value;
  readonly tables: (rope: Rope) => RopeTables;
  /** f32 [batch, 1, sequence, sequence], added to scores. */
  readonly mask: (window: number | null) => Value;
};

/** What `make` gives for each key, made once. */
function once<K, V>(make: (key: K) => V): (key: K) => V {
  const made = new Map<K, V>();
  return (key) => {
    const value = made.get(key) ?? make(key);
    made.set(key, value);
    return value;
  };
}

/** A token sees those of its text that are not after it, and in a window none that is `window` or more before it. */
function scoreMask(
  graph: GraphBuilder,
  { places, segments }: { readonly places: Value; readonly segments: Value },
  window: number | null,
): Value {
  const [rows, columns] = [[2], [1]];
  const before = places.unsqueeze(rows).sub(places.unsqueeze(columns));
  const own = segments.unsqueeze(rows).op("Equal", [segments.unsqueeze(columns)]);
  const past = before.op("GreaterOrEqual", [graph.scalar("int64", 0)]).op("And", [own]);
  const near = window === null ? null : before.op("Less", [graph.scalar("int64", window)]);
  const seen = near === null ? past : past.op("And", [near]);
  const [shown, hidden] = [0, hiddenScore].map((score) => graph.scalar("float32", score));
  return seen.op("Where", [shown ?? null, hidden ?? null]).unsqueeze([1]);
}

type Norm = { readonly name: string; readonly width: number };

/** `x` [..., width]. */
function rmsNorm({ architecture, parameters }: Decoder, x: Value, { name, width }: Norm): Value {
  const { epsilon, normOffset: offset } = architecture;
  const weight = parameters.tensor(`${name}.weight`, [width]);
  const scale = offset === 0 ? weight : weight.add(offset);
  return x.op("SimplifiedLayerNormalization", [scale], { axis: -1, epsilon });
}

/** `value` with the batch's shape in the place of its first axis. */
function inGrid({ gridShape, parameters }: Decoder, value: Value, rest: readonly number[]): Value {
  const { graph } = parameters;
  const shape = graph.op("Concat", [gridShape, graph.integers(rest)], { axis: 0 });
  return value.op("Reshape", [shape]);
}

type NamedLayer = { readonly name: string; readonly layer: DecoderLayer };

type Heads = { readonly count: number; readonly norm: string | null };

/**
 * `rows` [tokens, heads · width], each head normalised where the family does, and turned; the same. To the operator
 * each token is a text of its own, because it takes none longer than its tables.
 */
function turnedHeads(decoder: Decoder, rows: Value, { count, norm }: Heads, rope: Rope): Value {
  const { headWidth: width } = decoder.architecture;
  const split = norm === null ? null : rows.reshape([-1, count, width]);
  const normed =
    norm === null || split === null ? rows : rmsNorm(decoder, split, { name: norm, width });
  const { cos, sin } = decoder.tables(rope);
  const places = decoder.places.reshape([-1, 1]);
  return normed
    .reshape([-1, 1, count * width])
    .op("com.microsoft.RotaryEmbedding", [places, cos, sin], { num_heads: count })
    .reshape([-1, count * width]);
}

/**
 * The context of each token, [tokens, heads · width]. Heads that share keys and values stand below each other, so that
 * nothing is repeated.
 */
function attend(
  decoder: Decoder,
  { query, key, value }: { readonly query: Value; readonly key: Value; readonly value: Value },
  window: number | null,
): Value {
  const { architecture, parameters, gridShape } = decoder;
  const { graph } = parameters;
  const { heads, keyValueHeads: shared, headWidth: width, scoreScale } = architecture;
  const group = heads / shared;
  const queries = inGrid(decoder, query, [shared, group, width])
    .transpose([0, 2, 3, 1, 4])
    .reshape([0, shared, -1, width]);
  const keys = inGrid(decoder, key, [shared, width]).transpose([0, 2, 3, 1]);
  const values = inGrid(decoder, value, [shared, width]).transpose([0, 2, 1, 3]);
  const products = queries.mul(scoreScale).matMul(keys);
  const [batch, sequence] = [gridShape.slice(0, 0, 1), gridShape.slice(0, 1, 2)];
  const square = graph.op("Concat", [batch, graph.integers([heads]), sequence, sequence], {
    axis: 0,
  });
  const below = graph.op("Concat", [batch, graph.integers([shared, -1]), sequence], { axis: 0 });
  const probabilities = products.op("Reshape", [square]).add(decoder.mask(window)).softmax(-1);
  const apart = [batch, graph.integers([shared, group]), sequence, graph.integers([width])];
  return probabilities
    .op("Reshape", [below])
    .matMul(values)
    .op("Reshape", [graph.op("Concat", apart, { axis: 0 })])
    .transpose([0, 3, 1, 2, 4])
    .reshape([-1, heads * width]);
}

function attention(decoder: Decoder, x: Value, { name, layer }: NamedLayer): Value {
  const { architecture, layers } = decoder;
  const { hidden, heads, keyValueHeads: shared, headWidth, biases, norms } = architecture;
  const names = (["q", "k", "v"] as const).map((which) => `${name}.self_attn.${which}_proj`);
  const on = layers.on(x, { readers: names });
  const [query, key, value] = names.map((each, at) =>
    on.dense(each, {
      inputs: hidden,
      outputs: (at === 0 ? heads : shared) * headWidth,
      ...(biases.queryKeyValue ? {} : { bias: "none" }),
    }),
  );
  if (!query || !key || !value) throw new TypeError("attention has three");
  const normOf = (which: "query" | "key") =>
    norms.heads === null ? null : `${name}.${norms.heads[which]}`;
  const context = attend(
    decoder,
    {
      query: turnedHeads(decoder, query, { count: heads, norm: normOf("query") }, layer.rope),
      key: turnedHeads(decoder, key, { count: shared, norm: normOf("key") }, layer.rope),
      value,
    },
    layer.window,
  );
  const output = `${name}.self_attn.o_proj`;
  return layers.on(context, { readers: [output] }).dense(output, {
    inputs: heads * headWidth,
    outputs: hidden,
    ...(biases.attentionOutput ? {} : { bias: "none" }),
  });
}

function feedForward({ architecture, layers }: Decoder, x: Value, name: string): Value {
  const { hidden, intermediate, activation, biases } = architecture;
  const bias = biases.feedForward ? {} : ({ bias: "none" } as const);
  const [gate, up, down] = ["gate", "up", "down"].map((which) => `${name}.mlp.${which}_proj`);
  if (!gate || !up || !down) throw new TypeError("a block has three");
  const on = layers.on(x, { readers: [gate, up] });
  const wide = { inputs: hidden, outputs: intermediate, ...bias };
  const gated = activate(activation, on.dense(gate, wide)).mul(on.dense(up, wide));
  const shape = { inputs: intermediate, outputs: hidden, ...bias };
  return layers.on(gated, { readers: [down] }).dense(down, shape);
}

/** `x` [tokens, hidden]. */
function decoderLayer(decoder: Decoder, x: Value, at: NamedLayer): Value {
  const { norms, hidden: width } = decoder.architecture;
  const norm = (value: Value, which: string | null) =>
    which === null ? value : rmsNorm(decoder, value, { name: `${at.name}.${which}`, width });
  const attended = attention(decoder, norm(x, norms.attention), at);
  const between = x.add(norm(attended, norms.attended));
  const fed = feedForward(decoder, norm(between, norms.feedForward), at.name);
  return between.add(norm(fed, norms.fed));
}

const embedding = "embed_tokens.weight";

/** [tokens, hidden]. What is learnt in a word's place is not scaled, as in PEFT. */
function embed({ architecture, parameters, ids }: Decoder): Value {
  const { vocabulary, hidden: width, embeddingScale: scale } = architecture;
  return withVirtualTokens(parameters, ids.reshape([-1]), { vocabulary, width }, (words) => {
    const rows = parameters.tensor(embedding, [vocabulary, width]).gather(words, 0);
    return scale === 1 ? rows : rows.mul(scale);
  });
}

/** Of `x` [asked, hidden], [asked, vocabulary]. */
function logits({ architecture, parameters }: Decoder, x: Value): Value {
  const { tied, logitCap: cap, hidden, vocabulary } = architecture;
  const own = "lm_head.weight";
  const table = tied && !parameters.has(own) ? embedding : own;
  const scores = x.op("Gemm", [parameters.tensor(table, [vocabulary, hidden])], { transB: 1 });
  return cap === null ? scores : scores.div(cap).tanh().mul(cap);
}

function openDecoder(
  architecture: DecoderArchitecture,
  parameters: Parameters,
  { positions, loraScale = 1 }: DecoderTrainingOptions,
): Decoder {
  const { graph } = parameters;
  const input = (name: string) => graph.input(name, "int64", ["batch", "sequence"]);
  const [ids, places, segments] = [input("input_ids"), input("position_ids"), input("segment_ids")];
  const size = { rows: positions, pairs: architecture.headWidth / 2 };
  return {
    architecture,
    parameters,
    layers: trainableLayers(parameters, loraScale),
    ids,
    places,
    gridShape: ids.op("Shape"),
    tables: once((rope) => ropeTables(graph, rope, size)),
    mask: once((window) => scoreMask(graph, { places, segments }, window)),
  };
}

/** Reads `weights` when the graph is written: keep them open until then. */
export function buildTrainingCausalTransformer(
  architecture: DecoderArchitecture,
  weights: WeightSource,
  options: DecoderTrainingOptions,
): Graph {
  const graph = new GraphBuilder(`${architecture.name}-training`, {});
  const prefixes = trainingPrefixes(decoderPrefixes);
  const parameters = new Parameters(graph, weights, prefixes, options.isInput);
  const decoder = openDecoder(architecture, parameters, options);
  let x = graph.scope("embeddings", () => embed(decoder));
  for (const [index, layer] of architecture.layers.entries()) {
    const name = `layers.${index}`;
    x = graph.scope(name, () => decoderLayer(decoder, x, { name, layer }));
  }
  const { gives = "loss", slices = 1 } = options;
  graph.scope("head", () => {
    const asked = x.gather(graph.input("positions", "int64", ["asked"]), 0);
    const states = rmsNorm(decoder, asked, { name: "norm", width: architecture.hidden });
    const score = (rows: Value) => logits(decoder, rows);
    if (gives === "logits") return graph.output("logits", score(states));
    const rows = { states, labels: graph.input("labels", "int64", ["asked"]), slices };
    if (gives === "loss") return graph.output("loss", slicedCrossEntropy(graph, rows, score));
    const { logLikelihoods, hits } = slicedTokenScores(graph, rows, score);
    graph.output("log_likelihoods", logLikelihoods);
    return graph.output("hits", hits);
  });
  return graph.build();
}
