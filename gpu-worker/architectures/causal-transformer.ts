/**
 * The decoder of every family as a graph (Touvron et al., https://arxiv.org/abs/2302.13971: norms before the blocks,
 * rotary positions, a gated feed-forward block; heads share keys and values as in https://arxiv.org/abs/2305.13245).
 * The same graph reads a prompt and continues it token by token:
 *
 * - `input_ids` int64 [batch, sequence]: the new tokens. Texts that begin together are padded on the right.
 * - `lengths` int32 [batch]: tokens of each text, those of its past and the new ones.
 * - `total_length` int32 []: the largest of them, or `sequence` if that is more.
 * - `positions` int64 [asked]: whose logits are wanted, by index in the flattened [batch · sequence].
 * - `past_key_values.N.key` and `.value` [batch, key-value heads, past, head], f32, or f16 in the form of that name, or
 *   int8 where asked for: a text's first tokens lie first, and past may be longer than what it holds.
 * - `present.N.key` and `.value`, the same with the new ones, max(past, total_length) long. Bound to the memory of a
 *   past of that length it is updated in place.
 * - `logits` f32 [asked, vocabulary].
 *
 * The hidden state stays [batch, sequence, hidden], and is added and normalised by one operator: on a CPU a step of one
 * text is some hundred small operators, which take as long as a third of the products.
 *
 * Mixed, a run reads a piece of one prompt beside new tokens of other texts, and every weight is read once for both:
 *
 * - `input_ids` int64 [1, batch + piece]: a new token of each text, then the piece. `positions` count in them.
 * - `piece_length` int32 [1]: tokens of the piece's text, those of its past and the piece; 0: there is no piece.
 * - `piece.past_key_values.N.key` and `.value` [1, key-value heads, past, head], empty where there is no piece, and
 *   `piece.present.N.key` and `.value`.
 *
 * Only attention is by itself for both, in one branch of an If, which costs a step of one text 4 % of its time. Two
 * attentions in every run, one of them of a token that nobody asked for, cost 7 %.
 *
 * Several new tokens of a text with a past are for a batch of one. Their padding counts in the text's length; what is
 * kept of it is overwritten by the tokens that follow. All that is GroupQueryAttention's way, the one operator that
 * updates keys and values in place both on the CPU and on CUDA, and is exact for batches of any lengths.
 */
import { autocastFloat16 } from "../onnx/autocast.ts";
import type { Graph } from "../onnx/graph.ts";
import { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { activate } from "./activation.ts";
import {
  type DecoderArchitecture,
  type DecoderLayer,
  decoderPrefixes,
} from "./decoder-architecture.ts";
import { type Batch, type Piece, readBatch } from "./decoder-batch.ts";
import { decoderForms } from "./decoder-form.ts";
import type { DecoderForm, Kept } from "./decoder-form.ts";
import type { DecoderProducts, WordTable } from "./decoder-products.ts";
import { projectionsOf } from "./decoder-projections.ts";
import { productsIn } from "./form-products.ts";
import { headsOf, sizeOf } from "./feature-heads.ts";
import type { Features, Heads } from "./feature-heads.ts";
import { Parameters } from "./parameters.ts";
import { reachAttributes, reachScales } from "./kept-reach.ts";
import type { LayerReach } from "./kept-reach.ts";
import { addRmsNorm, rmsNorm } from "./rms-norm.ts";
import { ropeTables } from "./rope.ts";
import type { Rope, RopeTables } from "./rope.ts";
import { rotatedWeights } from "./rotated-weights.ts";
import { Rotation } from "./rotation.ts";
import { withPromptVectors, withVirtualTokens } from "./virtual-tokens.ts";

export type DecoderOptions = {
  /** Of the longest text that will be computed: as many rows the tables of turns have. Default: the model's most. */
  readonly positions?: number;
  /** Default: f32. */
  readonly form?: DecoderForm;
  /** Of the form int8-rotated: see `Int8ProductOptions`. Default: false. */
  readonly saturates?: boolean;
  /** Keys and values are kept in int8, up to this reach of each layer. Not in the form f16. */
  readonly reach?: readonly LayerReach[];
  /** With stacks of adapters, see lora-products.ts: its runs are not mixed. */
  readonly lora?: boolean;
  /** Takes vectors of soft prompts, see virtual-tokens.ts. */
  readonly prompts?: boolean;
  /** Whether its runs may be mixed. Default: true. */
  readonly mixed?: boolean;
};

type Decoder = {
  readonly architecture: DecoderArchitecture;
  readonly parameters: Parameters;
  readonly products: DecoderProducts;
  /** What attention computes in. */
  readonly kept: Kept;
  readonly reach: readonly LayerReach[] | null;
  readonly batch: Batch;
  readonly tables: (rope: Rope) => RopeTables;
  /** Of scores, beside what the tables turn queries and keys by. */
  readonly scoreScale: number;
  readonly queryHeads: Heads;
  readonly keyHeads: Heads;
};

/**
 * On a CPU, queries and keys are each turned by tables that have the root of the scores' factor in them: products with
 * a factor of 1 have a kernel for a single query, others have the keys rearranged first.
 */
function splitScale({ scoreScale }: DecoderArchitecture, kept: Kept) {
  return kept === "float32"
    ? { gain: Math.sqrt(scoreScale), scoreScale: 1 }
    : { gain: 1, scoreScale };
}

/** Layers of a kind share their tables. @param gain of all, beside a rope's own */
function sharedTables(
  graph: GraphBuilder,
  { gain, ...size }: { readonly rows: number; readonly pairs: number; readonly gain: number },
  kept: Kept,
): (rope: Rope) => RopeTables {
  const made = new Map<Rope, RopeTables>();
  const make = (rope: Rope): RopeTables => {
    const { cos, sin } = ropeTables(graph, { ...rope, gain: rope.gain * gain }, size);
    return { cos: cos.cast(kept), sin: sin.cast(kept) };
  };
  return (rope) => {
    const tables = made.get(rope) ?? make(rope);
    made.set(rope, tables);
    return tables;
  };
}

/** `x` [batch, sequence, features of heads], each head normalised. */
function normHeads(decoder: Decoder, x: Value, { name, heads }: { name: string; heads: Heads }) {
  const { epsilon, normOffset: offset } = decoder.architecture;
  const features: Features = { ...heads, count: 1 };
  const split = x.reshape([0, 0, heads.count, heads.padded]);
  const normed = rmsNorm(decoder.parameters, split, { name, features, epsilon, offset });
  return normed.reshape([0, 0, sizeOf(heads)]);
}

/** Query, key and value as the operator takes them: packed in the first, or with norms of heads each by itself. */
function queryKeyValue(decoder: Decoder, x: Value, { index, name }: NamedLayer): (Value | null)[] {
  const { architecture, parameters, products, queryHeads, keyHeads } = decoder;
  const packed = products.project(x, projectionsOf(architecture, index).queryKeyValue);
  const norms = architecture.norms.heads;
  if (norms === null) return [packed, null, null];
  const { graph } = parameters;
  const sizes = graph.integers([queryHeads, keyHeads, keyHeads].map(sizeOf));
  const [query, key, value] = graph.ops("Split", [packed, sizes], { axis: -1 }, 3);
  if (!query || !key || !value) throw new TypeError("a split gives three");
  return [
    normHeads(decoder, query, { name: `${name}.${norms.query}`, heads: queryHeads }),
    normHeads(decoder, key, { name: `${name}.${norms.key}`, heads: keyHeads }),
    value,
  ];
}

type NamedLayer = { readonly index: number; readonly name: string; readonly layer: DecoderLayer };

/** Rows of one query, key and value each, or of all packed in the first; and where their texts' keys and values are. */
type Attended = {
  readonly rows: readonly (Value | null)[];
  readonly past: readonly Value[];
  readonly last: Value;
  readonly totalLength: Value;
};

/** What attention gives to the rows, and their texts' keys and values with the new ones. */
function attend(
  graph: GraphBuilder,
  decoder: Decoder,
  { index, layer }: NamedLayer,
  { rows, past, last, totalLength }: Attended,
): Value[] {
  const { parameters, queryHeads, keyHeads, scoreScale } = decoder;
  const reach = decoder.reach?.[index];
  const { cos, sin } = decoder.tables(layer.rope);
  const scales = reach ? [null, null, null, ...reachScales(parameters.graph, reach, keyHeads)] : [];
  return graph.ops(
    "com.microsoft.GroupQueryAttention",
    [...rows, ...past, last, totalLength, cos, sin, ...scales],
    {
      num_heads: queryHeads.count,
      kv_num_heads: keyHeads.count,
      scale: scoreScale,
      do_rotary: 1,
      ...(layer.window === null ? {} : { local_window_size: layer.window }),
      ...(reach ? reachAttributes : {}),
    },
    3,
  );
}

/** The piece's rows, which are the last, have an attention of their own. */
function attendMixed(
  inner: GraphBuilder,
  decoder: Decoder,
  at: NamedLayer,
  { others, own, piece }: { others: Attended; own: Attended; piece: Piece },
): Value[] {
  const parts = others.rows.map((all) =>
    all === null ? [] : inner.ops("Split", [inner.outer(all), piece.parts], { axis: 1 }, 2),
  );
  const part = (index: number, shape: readonly [number, number]) =>
    parts.map(({ [index]: rows }) => rows?.reshape([...shape, Number(rows.shape[2])]) ?? null);
  const [before, after] = [part(0, [-1, 1]), part(1, [1, -1])];
  const [first, ...present] = attend(inner, decoder, at, { ...others, rows: before });
  const [second, ...piecePresent] = attend(inner, decoder, at, { ...own, rows: after });
  if (first === undefined || second === undefined) throw new TypeError("attention gives a result");
  const side = first.reshape([1, -1, sizeOf(decoder.queryHeads)]);
  const joined = inner.op("Concat", [side, second], { axis: 1 });
  return [joined.op("Reshape", [piece.attendedShape]), ...present, ...piecePresent];
}

type Either = { others: Attended; piece: Piece; piecePast: readonly Value[] };

/** With the piece's rows where there is a piece. */
function attendEither(decoder: Decoder, at: NamedLayer, { others, piece, piecePast }: Either) {
  const { graph } = decoder.parameters;
  const { last, totalLength } = piece;
  const own = { rows: others.rows, past: piecePast, last, totalLength };
  // In the graph itself, not in a branch.
  decoder.tables(at.layer.rope);
  return graph.ops(
    "If",
    [piece.exists],
    {
      then_branch: graph.body("mixed", [], (inner) =>
        attendMixed(inner, decoder, at, { others, own, piece }),
      ),
      else_branch: graph.body("all", [], (inner) => [
        ...attend(inner, decoder, at, others),
        ...piecePast.map((past) => inner.outer(past).op("Identity")),
      ]),
    },
    5,
  );
}

const kinds = ["key", "value"] as const;

/** What attention gives for `x` [batch, sequence, hidden]; its keys and values become outputs of the graph. */
function attention(decoder: Decoder, x: Value, at: NamedLayer): Value {
  const { architecture, parameters, products, kept, batch, keyHeads } = decoder;
  const { graph } = parameters;
  const { index } = at;
  const dtype = decoder.reach?.[index] ? "int8" : kept;
  const pastOf = (prefix: string, size: number | string) =>
    kinds.map((kind) => {
      const shape = [size, keyHeads.count, `${prefix}past`, keyHeads.padded];
      return graph.input(`${prefix}past_key_values.${index}.${kind}`, dtype, shape);
    });
  const rows = queryKeyValue(decoder, x, at).map((each) => each?.cast(kept) ?? null);
  const { last, totalLength, piece } = batch;
  const others = { rows, past: pastOf("", "batch"), last, totalLength };
  const results =
    piece === null
      ? attend(graph, decoder, at, others)
      : attendEither(decoder, at, { others, piece, piecePast: pastOf("piece.", 1) });
  const [attended, ...present] = results;
  if (attended === undefined) throw new TypeError("attention gives a result");
  for (const [place, value] of present.entries()) {
    const prefix = place < kinds.length ? "" : "piece.";
    graph.output(`${prefix}present.${index}.${kinds[place % kinds.length]}`, value);
  }
  const { attentionOutput } = projectionsOf(architecture, index);
  return products.project(attended.cast("float32"), attentionOutput);
}

/** down(activation(gate(x)) · up(x)), [batch, sequence, hidden] (https://arxiv.org/abs/2002.05202). */
function feedForward({ architecture, parameters, products }: Decoder, x: Value, index: number) {
  const { intermediate, activation } = architecture;
  const { gateUp, down } = projectionsOf(architecture, index);
  const both = products.project(x, gateUp);
  const sizes = parameters.graph.integers([intermediate, intermediate]);
  const [gate, up] = parameters.graph.ops("Split", [both, sizes], { axis: -1 }, 2);
  if (!gate || !up) throw new TypeError("a split gives two");
  return products.project(activate(activation, gate).mul(up), down);
}

/** The hidden state as the terms of a sum, which what follows adds as it normalises. */
type Hidden = readonly [Value, Value | null];

function normHidden({ parameters, architecture }: Decoder, x: Hidden, name: string) {
  const { hidden: features, epsilon, normOffset: offset } = architecture;
  const norm = { name, features, epsilon, offset };
  const [term, rest] = x;
  return rest === null
    ? { sum: term, normed: rmsNorm(parameters, term, norm) }
    : addRmsNorm(parameters, [term, rest], norm);
}

function decoderLayer(decoder: Decoder, x: Hidden, at: NamedLayer): Hidden {
  const { norms } = decoder.architecture;
  const norm = (terms: Hidden, which: string) => normHidden(decoder, terms, `${at.name}.${which}`);
  const after = (value: Value, which: string | null) =>
    which === null ? value : norm([value, null], which).normed;
  const before = norm(x, norms.attention);
  const attended = after(attention(decoder, before.normed, at), norms.attended);
  const between = norm([attended, before.sum], norms.feedForward);
  const fed = after(feedForward(decoder, between.normed, at.index), norms.fed);
  return [fed, between.sum];
}

function wordTable({ architecture }: Decoder, name: string): WordTable {
  return { name, rows: architecture.vocabulary, columns: architecture.hidden };
}

const embedding = "embed_tokens.weight";

/** Multiplies what was learnt in the place of words as the checkpoint has them. */
function rotationMatrix(graph: GraphBuilder, size: number): Value {
  const load = () => new Rotation(size).matrix();
  return graph.initializer({ name: "rotation", dtype: "float32", shape: [size, size], load });
}

/** [batch, sequence, hidden]. What is learnt in a word's place is not scaled, as in PEFT. */
function embed(
  decoder: Decoder,
  { prompts, rotated }: { readonly prompts: boolean; readonly rotated: boolean },
): Value {
  const { batch, products, architecture, parameters } = decoder;
  const { embeddingScale: scale, hidden, vocabulary } = architecture;
  const options = { vocabulary, width: hidden };
  const words = withVirtualTokens(parameters, batch.ids, options, (ids) => {
    const rows = products.embed(ids, wordTable(decoder, embedding));
    return scale === 1 ? rows : rows.mul(scale);
  });
  if (!prompts) return words;
  const { graph } = parameters;
  return withPromptVectors(graph, words, {
    width: hidden,
    rotation: rotated ? rotationMatrix(graph, hidden) : null,
  });
}

/** [asked, vocabulary]: of the tokens asked for alone, the vocabulary is large. */
function logits(decoder: Decoder, x: Hidden): Value {
  const { architecture, parameters, products, batch } = decoder;
  const { tied, logitCap: cap, hidden } = architecture;
  const own = "lm_head.weight";
  const table = wordTable(decoder, tied && !parameters.has(own) ? embedding : own);
  const asked = (term: Value) => term.reshape([-1, hidden]).gather(batch.positions, 0);
  const [term, rest] = x;
  const terms: Hidden = [asked(term), rest === null ? null : asked(rest)];
  const { normed } = normHidden(decoder, terms, "norm");
  const scores = products.score(normed, table);
  return cap === null ? scores : scores.div(cap).tanh().mul(cap);
}

/** Reads `weights` when the graph is written: keep them open until then. */
export function buildCausalTransformer(
  architecture: DecoderArchitecture,
  weights: WeightSource,
  options: DecoderOptions,
): Graph {
  const { positions: rows = architecture.positions, form = "f32", reach } = options;
  const { lora = false, prompts = false, mixed = true, saturates = false } = options;
  const graph = new GraphBuilder(architecture.name, { form });
  const { rotated } = decoderForms[form];
  const source = rotated ? rotatedWeights(architecture, weights) : weights;
  const parameters = new Parameters(graph, source, decoderPrefixes);
  const { heads, keyValueHeads, headWidth } = architecture;
  const { kept } = decoderForms[form];
  const products = productsIn(form, parameters, { saturates, lora, architecture });
  const queryHeads = headsOf(heads, headWidth);
  const { gain, scoreScale } = splitScale(architecture, kept);
  const decoder: Decoder = {
    architecture,
    parameters,
    products,
    kept,
    reach: reach ?? null,
    batch: readBatch(graph, queryHeads, mixed),
    tables: sharedTables(graph, { rows, pairs: queryHeads.padded / 2, gain }, kept),
    scoreScale,
    queryHeads,
    keyHeads: headsOf(keyValueHeads, headWidth),
  };
  let x: Hidden = [embed(decoder, { prompts, rotated }), null];
  for (const [index, layer] of architecture.layers.entries()) {
    const name = `layers.${index}`;
    x = graph.scope(name, () => decoderLayer(decoder, x, { index, name, layer }));
  }
  graph.output(
    "logits",
    graph.scope("head", () => logits(decoder, x)),
  );
  const built = graph.build();
  return form === "f16" ? autocastFloat16(built) : built;
}
