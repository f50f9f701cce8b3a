/**
 * The decoder of every family as a graph (Touvron et al., https://arxiv.org/abs/2302.13971: norms before the blocks,
 * rotary positions, a gated feed-forward block; heads share keys and values as in https://arxiv.org/abs/2305.13245).
 * The same graph reads a prompt and continues it token by token:
 *
 * - `input_ids` int64 [batch, sequence]: the new tokens. Texts that begin together are padded on the right.
 * - `lengths` int32 [batch]: tokens of each text, those of its past and the new ones.
 * - `total_length` int32 []: the largest of them, or `sequence` if that is more.
 * - `positions` int64 [asked]: whose logits are wanted, by index in the flattened [batch · sequence].
 * - `past_key_values.N.key` and `.value` f32 [batch, key-value heads, past, head]: a text's first tokens lie first, and
 *   past may be longer than what it holds.
 * - `present.N.key` and `.value`, the same with the new ones, max(past, total_length) long. Bound to the memory of a
 *   past of that length it is updated in place.
 * - `logits` f32 [asked, vocabulary].
 *
 * Several new tokens of a text with a past are for a batch of one. Their padding counts in the text's length; what is
 * kept of it is overwritten by the tokens that follow. All that is GroupQueryAttention's way, the one operator that
 * updates keys and values in place both on the CPU and on CUDA, and is exact for batches of any lengths.
 */
import type { Graph } from "../onnx/graph.ts";
import { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { activate } from "./activation.ts";
import type { DecoderArchitecture, DecoderLayer } from "./decoder-architecture.ts";
import { headsOf, sizeOf } from "./feature-heads.ts";
import type { Features, Heads } from "./feature-heads.ts";
import { Parameters } from "./parameters.ts";
import { f32Projections } from "./projections.ts";
import type { Project } from "./projections.ts";
import { rmsNorm } from "./rms-norm.ts";
import { ropeTables } from "./rope.ts";
import type { Rope, RopeTables } from "./rope.ts";

export type DecoderOptions = {
  /** Of the longest text that will be computed: as many rows the tables of turns have. Default: the model's most. */
  readonly positions?: number;
};

export const decoderPrefixes = ["model."];

type Batch = {
  /** int64 [batch, sequence]. */
  readonly ids: Value;
  /** int64 [2]: batch, sequence. */
  readonly gridShape: Value;
  /** Index of each text's last token in its keys, int32 [batch]. */
  readonly last: Value;
  /** int32 []. */
  readonly totalLength: Value;
  /** int64 [asked]. */
  readonly positions: Value;
};

type Decoder = {
  readonly architecture: DecoderArchitecture;
  readonly parameters: Parameters;
  readonly project: Project;
  readonly batch: Batch;
  readonly tables: (rope: Rope) => RopeTables;
  readonly queryHeads: Heads;
  readonly keyHeads: Heads;
};

function readBatch(graph: GraphBuilder): Batch {
  const ids = graph.input("input_ids", "int64", ["batch", "sequence"]);
  const lengths = graph.input("lengths", "int32", ["batch"]);
  return {
    ids,
    gridShape: ids.op("Shape"),
    last: lengths.sub(1),
    totalLength: graph.input("total_length", "int32", []),
    positions: graph.input("positions", "int64", ["asked"]),
  };
}

/** Layers of a kind share their tables. */
function sharedTables(
  graph: GraphBuilder,
  size: { readonly rows: number; readonly pairs: number },
): (rope: Rope) => RopeTables {
  const made = new Map<Rope, RopeTables>();
  return (rope) => {
    const tables = made.get(rope) ?? ropeTables(graph, rope, size);
    made.set(rope, tables);
    return tables;
  };
}

function norm({ parameters, architecture }: Decoder, x: Value, name: string): Value {
  const { hidden: features, epsilon, normOffset: offset } = architecture;
  return rmsNorm(parameters, x, { name, features, epsilon, offset });
}

/** `x` [tokens, features of heads], each head normalised. */
function normHeads(decoder: Decoder, x: Value, { name, heads }: { name: string; heads: Heads }) {
  const { epsilon, normOffset: offset } = decoder.architecture;
  const features: Features = { ...heads, count: 1 };
  const split = x.reshape([-1, heads.count, heads.padded]);
  const normed = rmsNorm(decoder.parameters, split, { name, features, epsilon, offset });
  return normed.reshape([-1, sizeOf(heads)]);
}

/** Rows of tokens in the shape of the batch, [batch, sequence, features]. */
function toGrid({ parameters: { graph }, batch }: Decoder, rows: Value): Value {
  const sizes = [batch.gridShape, graph.integers([Number(rows.shape[1])])];
  return rows.op("Reshape", [graph.op("Concat", sizes, { axis: 0 })]);
}

/** Query, key and value as the operator takes them: packed in the first, or with norms of heads each by itself. */
function queryKeyValue(decoder: Decoder, x: Value, name: string): (Value | null)[] {
  const { architecture, parameters, project, queryHeads, keyHeads } = decoder;
  const packed = project(x, {
    inputs: architecture.hidden,
    layers: [
      { name: `${name}.self_attn.q_proj`, outputs: queryHeads },
      { name: `${name}.self_attn.k_proj`, outputs: keyHeads },
      { name: `${name}.self_attn.v_proj`, outputs: keyHeads },
    ],
    bias: architecture.biases.queryKeyValue,
  });
  const norms = architecture.norms.heads;
  if (norms === null) return [toGrid(decoder, packed), null, null];
  const { graph } = parameters;
  const sizes = graph.integers([queryHeads, keyHeads, keyHeads].map(sizeOf));
  const [query, key, value] = graph.ops("Split", [packed, sizes], { axis: 1 }, 3);
  if (!query || !key || !value) throw new TypeError("a split gives three");
  return [
    normHeads(decoder, query, { name: `${name}.${norms.query}`, heads: queryHeads }),
    normHeads(decoder, key, { name: `${name}.${norms.key}`, heads: keyHeads }),
    value,
  ].map((rows) => toGrid(decoder, rows));
}

type NamedLayer = { readonly index: number; readonly name: string; readonly layer: DecoderLayer };

/** What attention gives for `x` [tokens, hidden]; its keys and values become outputs of the graph. */
function attention(decoder: Decoder, x: Value, { index, name, layer }: NamedLayer): Value {
  const { architecture, parameters, project, batch, queryHeads, keyHeads } = decoder;
  const { graph } = parameters;
  const state = ["batch", keyHeads.count, "past", keyHeads.padded];
  const past = ["key", "value"].map((kind) =>
    graph.input(`past_key_values.${index}.${kind}`, "float32", state),
  );
  const { cos, sin } = decoder.tables(layer.rope);
  const [attended, ...present] = graph.ops(
    "com.microsoft.GroupQueryAttention",
    [...queryKeyValue(decoder, x, name), ...past, batch.last, batch.totalLength, cos, sin],
    {
      num_heads: queryHeads.count,
      kv_num_heads: keyHeads.count,
      scale: architecture.scoreScale,
      do_rotary: 1,
      ...(layer.window === null ? {} : { local_window_size: layer.window }),
    },
    3,
  );
  if (attended === undefined) throw new TypeError("attention gives a result");
  for (const [at, value] of present.entries()) {
    graph.output(`present.${index}.${at === 0 ? "key" : "value"}`, value);
  }
  return project(attended.reshape([-1, sizeOf(queryHeads)]), {
    inputs: queryHeads,
    layers: [{ name: `${name}.self_attn.o_proj`, outputs: architecture.hidden }],
    bias: architecture.biases.attentionOutput,
  });
}

/** down(activation(gate(x)) · up(x)), [tokens, hidden] (https://arxiv.org/abs/2002.05202). */
function feedForward({ architecture, parameters, project }: Decoder, x: Value, name: string) {
  const { hidden, intermediate, activation } = architecture;
  const bias = architecture.biases.feedForward;
  const both = project(x, {
    inputs: hidden,
    layers: ["gate_proj", "up_proj"].map((each) => ({
      name: `${name}.mlp.${each}`,
      outputs: intermediate,
    })),
    bias,
  });
  const sizes = parameters.graph.integers([intermediate, intermediate]);
  const [gate, up] = parameters.graph.ops("Split", [both, sizes], { axis: 1 }, 2);
  if (!gate || !up) throw new TypeError("a split gives two");
  return project(activate(activation, gate).mul(up), {
    inputs: intermediate,
    layers: [{ name: `${name}.mlp.down_proj`, outputs: hidden }],
    bias,
  });
}

function decoderLayer(decoder: Decoder, x: Value, at: NamedLayer): Value {
  const { norms } = decoder.architecture;
  const { name } = at;
  const normed = (value: Value, which: string | null) =>
    which === null ? value : norm(decoder, value, `${name}.${which}`);
  const attended = attention(decoder, normed(x, norms.attention), at);
  const y = x.add(normed(attended, norms.attended));
  const fed = feedForward(decoder, normed(y, norms.feedForward), name);
  return y.add(normed(fed, norms.fed));
}

/** f32 [vocabulary, hidden]. */
function table({ parameters, architecture }: Decoder, name: string): Value {
  const shape = [architecture.vocabulary, architecture.hidden];
  return parameters.combined([{ name, shape }], shape, ([rows]) => rows ?? new Float32Array());
}

/** [tokens, hidden]. */
function embed({ batch, architecture: { embeddingScale: scale } }: Decoder, words: Value): Value {
  const rows = words.gather(batch.ids.reshape([-1]), 0);
  return scale === 1 ? rows : rows.mul(scale);
}

/** [asked, vocabulary]: of the tokens asked for alone, the vocabulary is large. */
function logits(decoder: Decoder, x: Value, words: Value): Value {
  const { architecture, parameters, batch } = decoder;
  const { tied, logitCap: cap } = architecture;
  const own = "lm_head.weight";
  const matrix = tied && !parameters.has(own) ? words : table(decoder, own);
  const states = norm(decoder, x.gather(batch.positions, 0), "norm");
  const products = states.op("Gemm", [matrix], { transB: 1 });
  return cap === null ? products : products.div(cap).tanh().mul(cap);
}

/** Reads `weights` when the graph is written: keep them open until then. */
export function buildCausalTransformer(
  architecture: DecoderArchitecture,
  weights: WeightSource,
  { positions: rows = architecture.positions }: DecoderOptions,
): Graph {
  const graph = new GraphBuilder(architecture.name, { form: "f32" });
  const parameters = new Parameters(graph, weights, decoderPrefixes);
  const { heads, keyValueHeads, headWidth } = architecture;
  const queryHeads = headsOf(heads, headWidth);
  const decoder: Decoder = {
    architecture,
    parameters,
    project: f32Projections(parameters),
    batch: readBatch(graph),
    tables: sharedTables(graph, { rows, pairs: queryHeads.padded / 2 }),
    queryHeads,
    keyHeads: headsOf(keyValueHeads, headWidth),
  };
  const words = table(decoder, "embed_tokens.weight");
  let x = embed(decoder, words);
  for (const [index, layer] of architecture.layers.entries()) {
    const name = `layers.${index}`;
    x = graph.scope(name, () => decoderLayer(decoder, x, { index, name, layer }));
  }
  graph.output(
    "logits",
    graph.scope("head", () => logits(decoder, x, words)),
  );
  return graph.build();
}
