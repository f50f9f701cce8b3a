/**
 * BERT as a graph (Devlin et al., https://arxiv.org/abs/1810.04805; weights and names as in transformers'
 * modeling_bert.py). Inputs `input_ids`, `attention_mask`, `token_type_ids`, int64 [batch, sequence]; outputs by head
 * (encoder-head.ts). Inside, layers work on rows of tokens (token-rows.ts): attention then needs no transposed copies, and
 * 2-D sums keep ONNX Runtime from fusing them with the normalisation into an operator that takes six times as long.
 */
import type { Graph } from "../onnx/graph.ts";
import { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { activate } from "./activation.ts";
import { attend } from "./attention.ts";
import type { BertConfig } from "./bert-config.ts";
import { bertHead } from "./bert-heads.ts";
import type { HeadInputs } from "./bert-heads.ts";
import { measuringLayers } from "./channel-ranges.ts";
import { lookUp } from "./embedding.ts";
import type { EncoderOptions } from "./encoder-head.ts";
import { f32Layers } from "./f32-layers.ts";
import { int8Layers } from "./int8-layers.ts";
import { layerNorm } from "./layer-norm.ts";
import type { LinearLayers } from "./linear-layers.ts";
import { Parameters } from "./parameters.ts";
import { packedRows, paddedRows } from "./token-rows.ts";
import type { TokenRows } from "./token-rows.ts";

/** Least float32: hides padding from a softmax without making a row of padding NaN. */
const HIDDEN_SCORE = -3.4028234663852886e38;
/** Nothing GELU gives lies below this. */
const GELU_LEAST = -0.17;

type Batch = {
  /** int64 [tokens]. */
  readonly ids: Value;
  readonly types: Value;
  readonly rows: TokenRows;
  /** f32 [batch, sequence], 1 for a token. */
  readonly mask: Value;
  /** f32 [batch, 1, 1, sequence], added to scores. */
  readonly scoreMask: Value;
  /** int64 [4]: sequence, batch, heads, width of a head. */
  readonly headShape: Value;
};

type Encoder = {
  readonly config: BertConfig;
  readonly parameters: Parameters;
  readonly layers: LinearLayers;
  readonly batch: Batch;
};

function readBatch(graph: GraphBuilder, { heads, hidden }: BertConfig, packed: boolean): Batch {
  const shape = ["batch", "sequence"];
  const ids = graph.input("input_ids", "int64", shape);
  const given = graph.input("attention_mask", "int64", shape);
  const types = graph.input("token_type_ids", "int64", shape);
  const rows = packed ? packedRows(graph, given) : paddedRows(graph, given);
  const mask = given.cast("float32");
  const sizes = [rows.gridShape, graph.integers([heads, hidden / heads])];
  return {
    ids: rows.pick(ids),
    types: rows.pick(types),
    rows,
    mask,
    scoreMask: graph.scalar("float32", 1).sub(mask).mul(HIDDEN_SCORE).unsqueeze([1, 2]),
    headShape: graph.op("Concat", sizes, { axis: 0 }),
  };
}

function norm({ parameters, config }: Encoder, x: Value, name: string): Value {
  return layerNorm(parameters, x, { name, width: config.hidden, epsilon: config.epsilon });
}

function tableName(name: string): string {
  return `embeddings.${name}_embeddings.weight`;
}

/** [tokens, hidden]. */
function embed(encoder: Encoder): Value {
  const { config, parameters, batch } = encoder;
  const { vocabularySize, tokenTypes, positions, hidden: width } = config;
  const table = { rows: positions, width };
  const words = lookUp(parameters, tableName("word"), { rows: vocabularySize, width }, batch.ids);
  const types = lookUp(
    parameters,
    tableName("token_type"),
    { rows: tokenTypes, width },
    batch.types,
  );
  const places = lookUp(parameters, tableName("position"), table, batch.rows.positions);
  return norm(encoder, words.add(types).add(places), "embeddings.LayerNorm");
}

/** bias + W·added, for `bias` and `weight` of the layer `name` and the bias of what feeds it. */
function passThrough(parameters: Parameters, name: string, added: string) {
  return (bias: Float32Array): Float32Array => {
    const weight = parameters.elements(`${name}.weight`);
    const input = parameters.elements(`${added}.bias`);
    const row = (at: number) => weight.subarray(at * input.length, (at + 1) * input.length);
    return bias.map((start, at) =>
      row(at).reduce((sum, element, column) => sum + element * (input[column] ?? 0), start),
    );
  };
}

/**
 * What attention adds to `x`, [tokens, hidden]. Two biases cost nothing: a key's adds the same to every score of a query,
 * which softmax ignores; a value's adds itself to every result, because a softmax sums to 1, so it goes through the
 * output layer's weights into that layer's bias.
 */
function selfAttention(encoder: Encoder, x: Value, layer: string): Value {
  const { config, parameters, layers, batch } = encoder;
  const { hidden, heads } = config;
  const square = { inputs: hidden, outputs: hidden };
  const gain = 1 / Math.sqrt(hidden / heads);
  const named = (part: string) => `${layer}.attention.self.${part}`;
  const readers = ["query", "key", "value"].map(named);
  const on = layers.on(batch.rows.toGrid(x), { readers, uneven: true });
  const scaled = (bias: Float32Array) => bias.map((element) => element * gain);
  const context = attend({
    query: on.dense(named("query"), { ...square, gain, bias: scaled }),
    key: on.dense(named("key"), { ...square, bias: null }),
    value: on.dense(named("value"), { ...square, bias: null }),
    mask: batch.scoreMask,
    shape: batch.headShape,
  });
  const output = `${layer}.attention.output.dense`;
  const bias = passThrough(parameters, output, named("value"));
  return layers
    .on(batch.rows.fromGrid(context), { readers: [output] })
    .dense(output, { ...square, bias });
}

/** What the feed-forward block adds to `x`, [tokens, hidden]. */
function feedForward({ config, layers }: Encoder, x: Value, layer: string): Value {
  const { hidden, intermediate, activation } = config;
  const widen = `${layer}.intermediate.dense`;
  const narrow = `${layer}.output.dense`;
  const wide = layers
    .on(x, { readers: [widen], uneven: true })
    .dense(widen, { inputs: hidden, outputs: intermediate });
  const least = activation.startsWith("gelu") ? { least: GELU_LEAST } : {};
  return layers
    .on(activate(activation, wide), { readers: [narrow], ...least })
    .dense(narrow, { inputs: intermediate, outputs: hidden });
}

function encode(encoder: Encoder): Value {
  const { graph } = encoder.parameters;
  let x = graph.scope("embeddings", () => embed(encoder));
  for (let index = 0; index < encoder.config.layers; index++) {
    const layer = `encoder.layer.${index}`;
    x = graph.scope(layer, () => {
      const attended = x.add(selfAttention(encoder, x, layer));
      const y = norm(encoder, attended, `${layer}.attention.output.LayerNorm`);
      return norm(encoder, y.add(feedForward(encoder, y, layer)), `${layer}.output.LayerNorm`);
    });
  }
  return x;
}

type Parts = {
  readonly config: BertConfig;
  readonly weights: WeightSource;
  readonly packed: boolean;
  readonly compute: (parameters: Parameters) => LinearLayers;
};

/** Builds all but the head, which `finish` adds. */
function buildWith(
  { config, weights, packed, compute }: Parts,
  graph: GraphBuilder,
  finish: (inputs: HeadInputs) => void,
): Graph {
  const parameters = new Parameters(graph, weights, ["bert."]);
  const batch = readBatch(graph, config, packed);
  const rows = encode({ config, parameters, layers: compute(parameters), batch });
  const sizes = [batch.rows.gridShape, graph.integers([config.hidden])];
  const hidden = batch.rows
    .toGrid(rows)
    .op("Reshape", [graph.op("Concat", sizes, { axis: 0 })])
    .transpose([1, 0, 2]);
  graph.scope("head", () => finish({ config, parameters, hidden, mask: batch.mask }));
  return graph.build();
}

/** Reads `weights` when the graph is written: keep them open until then. */
export function buildBert(
  config: BertConfig,
  weights: WeightSource,
  { head, form, packed = false, saturates = false, ranges = null }: EncoderOptions,
): Graph {
  const compute = (parameters: Parameters) =>
    form === "f32" ? f32Layers(parameters) : int8Layers(parameters, { saturates, ranges });
  const graph = new GraphBuilder("bert", { form, head: head.name });
  return buildWith({ config, weights, packed, compute }, graph, (inputs) => bertHead(inputs, head));
}

/** The f32 encoder that gives the ranges of its layers' inputs (channel-ranges.ts). */
export function buildBertRanges(config: BertConfig, weights: WeightSource): Graph {
  const graph = new GraphBuilder("bert-ranges");
  const compute = (parameters: Parameters) => measuringLayers(f32Layers(parameters), graph);
  return buildWith({ config, weights, packed: false, compute }, graph, () => undefined);
}
