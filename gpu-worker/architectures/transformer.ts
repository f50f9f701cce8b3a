/**
 * The encoder of every family as a graph (https://arxiv.org/abs/1706.03762, norms after the sums as in BERT). Inputs
 * `input_ids`, `attention_mask` and, where the family tells types of tokens apart, `token_type_ids`, int64
 * [batch, sequence]; outputs by head (encoder-head.ts). Inside, layers work on rows of tokens (token-rows.ts):
 * attention then needs no transposed copies, and 2-D sums keep ONNX Runtime from fusing them with the normalisation
 * into an operator that takes six times as long.
 */
import type { Graph } from "../onnx/graph.ts";
import { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { activate } from "./activation.ts";
import type { Architecture, LayerNames } from "./architecture.ts";
import { attend, planTurns } from "./attention.ts";
import type { QueryTurns, ScoreTerms } from "./attention.ts";
import { measuringLayers } from "./channel-ranges.ts";
import { convolve } from "./convolution.ts";
import { embedTokens, shapeTable } from "./embedding.ts";
import type { EncoderOptions } from "./encoder-head.ts";
import { encoderHead } from "./encoder-heads.ts";
import type { HeadInputs } from "./encoder-heads.ts";
import { f32Layers } from "./f32-layers.ts";
import { int8Layers } from "./int8-layers.ts";
import { servedForms } from "./layer-forms.ts";
import type { LayerForms } from "./layer-forms.ts";
import { layerNorm } from "./layer-norm.ts";
import { loraGroups, loraLayers } from "./lora-layers.ts";
import type { LoraGroups } from "./lora-layers.ts";
import type { DenseShape } from "./linear-layers.ts";
import { Parameters } from "./parameters.ts";
import { readDistances, relativeScores } from "./relative-scores.ts";
import type { Content } from "./relative-scores.ts";
import { groupedRows, packedRows, paddedRows } from "./token-rows.ts";
import type { TokenRows } from "./token-rows.ts";

/** Least float32: hides padding from a softmax without making a row of padding NaN. */
const hiddenScore = -3.4028234663852886e38;
/** Nothing GELU gives lies below this. */
const geluMin = -0.17;

/**
 * Attention's scores at a time where texts may be long. Batches of the usual sizes have no more: 2 048 tokens in texts
 * of 512 and 16 heads make just so many.
 */
const scoreBytesAtOnce = 64 * 2 ** 20;
/** Up to so many positions scores are few enough to be computed at once. */
const usualPositions = 512;

/** Null: all at once. */
export function defaultScoreBytes({ positions }: Architecture): number | null {
  return positions > usualPositions ? scoreBytesAtOnce : null;
}

type Batch = {
  /** int64 [batch, sequence]. */
  readonly ids: Value;
  /** Null: types make no difference. */
  readonly types: Value | null;
  readonly shapes: Value | null;
  readonly groups: LoraGroups | null;
  readonly rows: TokenRows;
  /** f32 [batch, sequence], 1 for a token. */
  readonly mask: Value;
  /** f32 [batch, 1, 1, sequence], added to scores. */
  readonly scoreMask: Value;
  /** int64 [4]: sequence, batch, heads, width of a head. */
  readonly headShape: Value;
  /** Null: attention computes all scores at once. */
  readonly turns: QueryTurns | null;
};

type Encoder = {
  readonly architecture: Architecture;
  readonly parameters: Parameters;
  readonly forms: LayerForms;
  readonly batch: Batch;
  /** What distances add to a layer's scores; null for nothing. */
  readonly distanceScores: ((content: Content) => ScoreTerms) | null;
};

function rowsOf(
  graph: GraphBuilder,
  mask: Value,
  { packed, groups = null, trained = false }: Pick<EncoderParts, "packed" | "groups" | "trained">,
): TokenRows {
  if (groups !== null) return groupedRows(graph, mask, groups);
  return packed ? packedRows(graph, mask, trained) : paddedRows(graph, mask);
}

function readBatch(
  parameters: Parameters,
  architecture: Architecture,
  parts: Pick<EncoderParts, "packed" | "groups" | "scoreBytes" | "trained">,
): Batch {
  const { groups = null, scoreBytes } = parts;
  const { graph } = parameters;
  const { heads, hidden, embeddings } = architecture;
  const shape = ["batch", "sequence"];
  const ids = graph.input("input_ids", "int64", shape);
  const given = graph.input("attention_mask", "int64", shape);
  const types = embeddings.tokenTypes > 1 ? graph.input("token_type_ids", "int64", shape) : null;
  const readsShapes = parameters.has(shapeTable) || groups !== null;
  const shapes = readsShapes ? graph.input("word_shapes", "int64", shape) : null;
  const rows = rowsOf(graph, given, parts);
  const mask = given.cast("float32");
  const sizes = [rows.gridShape, graph.integers([heads, hidden / heads])];
  return {
    ids,
    types,
    shapes,
    groups,
    rows,
    mask,
    scoreMask: graph.scalar("float32", 1).sub(mask).mul(hiddenScore).unsqueeze([1, 2]),
    headShape: graph.op("Concat", sizes, { axis: 0 }),
    turns:
      scoreBytes === null ? null : planTurns(graph, rows.gridShape, { heads, bytes: scoreBytes }),
  };
}

function norm({ parameters, architecture }: Encoder, x: Value, name: string): Value {
  const { hidden: width, epsilon } = architecture;
  return layerNorm(parameters, x, { name, width, epsilon });
}

/** Each text's first token among `x` [tokens, hidden], [batch, hidden]. */
function firstTokens({ batch: { rows }, parameters: { graph } }: Encoder, x: Value): Value {
  const zero = graph.integers([0]);
  return rows.toGrid(x).op("Slice", [zero, rows.gridShape.slice(0, 1, 2), zero]);
}

/** int64 [4]: one query of each text instead of all. */
function firstShape(graph: GraphBuilder, shape: Value): Value {
  return graph.op("Concat", [graph.integers([1]), shape.slice(0, 1, 4)], { axis: 0 });
}

/**
 * What attention adds to `x`, [tokens, hidden], or to `first` alone, [batch, hidden]. Two biases cost nothing: a key's
 * adds the same to every score of a query, which softmax ignores (unless distances meet the key); a value's adds itself
 * to every result, because a softmax sums to 1, so it goes through the output layer's weights into that layer's bias.
 */
function selfAttention(encoder: Encoder, x: Value, names: LayerNames, first: Value | null): Value {
  const { architecture, parameters, batch, distanceScores } = encoder;
  const { layers, dropout } = encoder.forms;
  const { hidden, heads, scoreTerms } = architecture;
  const square = { inputs: hidden, outputs: hidden };
  const gain = 1 / Math.sqrt((hidden / heads) * scoreTerms);
  const readers = [names.query, names.key, names.value];
  const { late, toGrid, fromGrid } = batch.rows;
  const layersOn = (rows: Value) => layers.on(rows, { readers, uneven: true });
  const on = layersOn(late ? x : toGrid(x));
  const read = (name: string, shape: DenseShape) =>
    late ? toGrid(on.dense(name, shape)) : on.dense(name, shape);
  const keyShape: DenseShape = distanceScores === null ? { ...square, bias: "idle" } : square;
  const scaled: DenseShape = { ...square, gain };
  const shape = batch.headShape;
  const queries =
    first === null
      ? { query: read(names.query, scaled), queryShape: shape, turns: batch.turns }
      : {
          query: layersOn(first).dense(names.query, scaled),
          queryShape: firstShape(parameters.graph, shape),
          turns: null,
        };
  const { query } = queries;
  const key = read(names.key, keyShape);
  const context = attend(parameters.graph, {
    ...queries,
    key,
    value: read(names.value, { ...square, bias: "deferred" }),
    mask: batch.scoreMask,
    shape,
    terms: distanceScores?.({ query, key, shape, names, gain }) ?? null,
    dropout: dropout.attention,
  });
  const bias = { takes: names.value };
  return layers
    .on(first === null ? fromGrid(context) : context, { readers: [names.attentionOutput] })
    .dense(names.attentionOutput, { ...square, bias });
}

/** What the feed-forward block adds to `x`, of as many rows. */
function feedForward({ architecture, forms }: Encoder, x: Value, names: LayerNames): Value {
  const { hidden, intermediate, activation } = architecture;
  const { layers } = forms;
  const wide = layers
    .on(x, { readers: [names.intermediate], uneven: true })
    .dense(names.intermediate, { inputs: hidden, outputs: intermediate });
  const least = activation.startsWith("gelu") ? { least: geluMin } : {};
  return layers
    .on(activate(activation, wide), { readers: [names.output], ...least })
    .dense(names.output, { inputs: intermediate, outputs: hidden });
}

/** @param reads of its result; what nobody reads is not computed */
function layer(encoder: Encoder, x: Value, names: LayerNames, reads: ReadTokens): Value {
  const { hidden: drop } = encoder.forms.dropout;
  const first = reads === "first" ? firstTokens(encoder, x) : null;
  const attended = drop(selfAttention(encoder, x, names, first));
  const y = norm(encoder, (first ?? x).add(attended), names.attentionNorm);
  return norm(encoder, y.add(drop(feedForward(encoder, y, names))), names.norm);
}

/** [tokens, hidden], or of each text's first token alone, [batch, hidden]. */
function encode(encoder: Encoder, reads: ReadTokens): Value {
  const { architecture, parameters, batch, forms } = encoder;
  const { graph } = parameters;
  const embedded = graph.scope("embeddings", () =>
    forms.dropout.hidden(embedTokens(parameters, architecture, batch, forms.exact)),
  );
  let x = embedded;
  for (let index = 0; index < architecture.layers; index++) {
    const readsOfLayer = index === architecture.layers - 1 ? reads : "all";
    x = graph.scope(`encoder.layer.${index}`, () =>
      layer(encoder, x, architecture.layer(index), readsOfLayer),
    );
    if (index > 0 || architecture.convolution === null) continue;
    const { convolution } = architecture;
    x = graph.scope("convolution", () => {
      const added = convolve(parameters, embedded, { ...batch, convolution });
      return norm(encoder, x.add(added), convolution.norm);
    });
  }
  return x;
}

function scoresOfDistances(
  parameters: Parameters,
  architecture: Architecture,
  { rows, forms }: { readonly rows: TokenRows; readonly forms: LayerForms },
) {
  const { relative } = architecture;
  if (relative === null) return null;
  return parameters.graph.scope("distances", () => {
    const distances = readDistances(parameters, architecture, relative, rows.gridShape);
    return relativeScores(forms.exact, architecture, relative, distances);
  });
}

/** Whose states a head reads: all tokens', or those of each text's first one. */
type ReadTokens = "all" | "first";

export type EncoderParts = {
  readonly architecture: Architecture;
  /** Default: all. `first`: the last layer computes no others, where it can leave them out. */
  readonly reads?: ReadTokens;
  readonly packed: boolean;
  /** Whether gradients go through it. Default false. */
  readonly trained?: boolean;
  /** Of rows that adapters are for; default null: there are none. */
  readonly groups?: LoraGroups | null;
  /** Of attention's scores at a time; null for all at once. */
  readonly scoreBytes: number | null;
  readonly parameters: Parameters;
  readonly forms: LayerForms;
};

/** Distances and what a convolution adds are of all tokens; adapters know the rows of all. */
function leavesOut({ relative, convolution }: Architecture, groups: LoraGroups | null): boolean {
  return relative === null && convolution === null && groups === null;
}

/** Rows of tokens as [batch, sequence, hidden]. */
function statesOf(graph: GraphBuilder, rows: Value, { gridShape, toGrid }: TokenRows): Value {
  const sizes = [gridShape, graph.integers([Number(rows.shape[1])])];
  return toGrid(rows)
    .op("Reshape", [graph.op("Concat", sizes, { axis: 0 })])
    .transpose([1, 0, 2]);
}

/** Builds all but the head, which `finish` adds. */
export function buildEncoderWith(
  { architecture, parameters, forms, reads: asked = "all", ...given }: EncoderParts,
  finish: (inputs: HeadInputs) => void,
): Graph {
  const { graph } = parameters;
  const batch = readBatch(parameters, architecture, given);
  const reads = leavesOut(architecture, given.groups ?? null) ? asked : "all";
  const distanceScores = scoresOfDistances(parameters, architecture, { ...batch, forms });
  const rows = encode({ architecture, parameters, forms, batch, distanceScores }, reads);
  const hidden = reads === "first" ? rows.unsqueeze([1]) : statesOf(graph, rows, batch.rows);
  graph.scope("head", () => finish({ architecture, parameters, forms, hidden, mask: batch.mask }));
  return graph.build();
}

/** Reads `weights` when the graph is written: keep them open until then. */
export function buildTransformer(
  architecture: Architecture,
  weights: WeightSource,
  options: EncoderOptions,
): Graph {
  const { head, form, packed = false, lora = false, saturates = false, ranges = null } = options;
  const { scoreBytes: asked = defaultScoreBytes(architecture) } = options;
  // Autocast casts no subgraphs: a GPU's runs are bounded by the size of its batches alone.
  const scoreBytes = form === "f16" ? null : asked;
  const graph = new GraphBuilder(architecture.name, { form, head: head.name });
  const parameters = new Parameters(graph, weights, architecture.prefixes);
  const plain =
    form === "int8" ? int8Layers(parameters, { saturates, ranges }) : f32Layers(parameters);
  const groups = lora ? loraGroups(graph) : null;
  const layers = groups === null ? plain : loraLayers(plain, parameters, groups);
  const forms = servedForms(parameters, layers);
  const reads = head.name === "sequence-classification" ? "first" : "all";
  const parts = { architecture, reads, parameters, forms, packed, groups, scoreBytes } as const;
  return buildEncoderWith(parts, (inputs) => {
    encoderHead(inputs, head);
  });
}

/** The f32 encoder that gives the ranges of its layers' inputs (channel-ranges.ts). */
export function buildTransformerRanges(architecture: Architecture, weights: WeightSource): Graph {
  const graph = new GraphBuilder(`${architecture.name}-ranges`);
  const parameters = new Parameters(graph, weights, architecture.prefixes);
  const forms = servedForms(parameters, measuringLayers(f32Layers(parameters), graph));
  return buildEncoderWith(
    { architecture, parameters, forms, packed: false, scoreBytes: null },
    () => undefined,
  );
}
