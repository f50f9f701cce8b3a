/**
 * Tokens as vectors: rows of the tables of words, token types and positions, summed and normalised. A table stored in
 * int8 stays so in the graph and only the rows looked up become floats: the same values as from the whole table, in a
 * quarter of the memory.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import { int64, tensor } from "../tensor/tensor.ts";
import type { Architecture, Embeddings } from "./architecture.ts";
import { layerNorm } from "./layer-norm.ts";
import type { LinearLayers } from "./linear-layers.ts";
import { loraShapes } from "./lora-layers.ts";
import type { LoraGroups } from "./lora-layers.ts";
import type { Parameters } from "./parameters.ts";
import { withFedPrompts, withVirtualTokens } from "./virtual-tokens.ts";
import type { TokenRows } from "./token-rows.ts";

type TableShape = { readonly rows: number; readonly width: number };

export const wordTable = tableName("word");

function tableName(name: string): string {
  return `embeddings.${name}_embeddings.weight`;
}

/** `indices` [...] int64 → f32 [..., width]. */
function lookUp(
  parameters: Parameters,
  name: string,
  { rows, width }: TableShape,
  indices: Value,
): Value {
  const { graph } = parameters;
  if (!parameters.isInt8(name) || parameters.isInput(name)) {
    return parameters.tensor(name, [rows, width]).gather(indices, 0);
  }
  const stored = parameters.int8Rows(name, width);
  const unique = graph.uniqueName(name);
  const values = graph.constant(tensor("int8", [rows, width], stored.values), unique);
  const scales = graph.constant(tensor("float32", [rows, 1], stored.scales), `${unique}.scale`);
  return values.gather(indices, 0).cast("float32").mul(scales.gather(indices, 0));
}

export type TokenIds = {
  /** int64 [batch, sequence]. */
  readonly ids: Value;
  /** Null where the table has one row, or none. */
  readonly types: Value | null;
  /** The shape of each token's word; null: there is no table of shapes. */
  readonly shapes: Value | null;
  readonly rows: TokenRows;
  /** Adapters, which may have tables of shapes; null: there are none. */
  readonly groups: LoraGroups | null;
};

function typeVectors(
  parameters: Parameters,
  { width, tokenTypes: rows }: Embeddings,
  { types, rows: tokens }: TokenIds,
): Value | null {
  if (rows === 0) return null;
  const name = tableName("token_type");
  if (types === null) return parameters.tensor(name, [rows, width]);
  return lookUp(parameters, name, { rows, width }, tokens.pick(types));
}

/** Fairseq's count, int64 [batch, sequence]: tokens so far but for padding, from the row after padding's. */
function countedPositions(graph: GraphBuilder, ids: Value, padding: number): Value {
  const isToken = ids
    .op("Equal", [graph.scalar("int64", padding)])
    .op("Not")
    .cast("int64");
  const counted = isToken.op("CumSum", [graph.scalar("int64", 1)]);
  return counted.mul(isToken).add(padding);
}

function positionVectors(
  parameters: Parameters,
  { width, positions }: Embeddings,
  { ids, rows: tokens }: TokenIds,
): Value | null {
  if (positions === null) return null;
  const { rows, padding } = positions;
  const indices =
    padding === null
      ? tokens.positions
      : tokens.pick(countedPositions(parameters.graph, ids, padding));
  return lookUp(parameters, tableName("position"), { rows, width }, indices);
}

/** A row for each shape that a token's word may have (lower, UPPER, Title …), which an uncased vocabulary loses. */
export const shapeTable = tableName("word_shape");

function shapeVectors(
  parameters: Parameters,
  { width }: Embeddings,
  { shapes, rows: tokens }: TokenIds,
): Value | null {
  if (shapes === null || !parameters.has(shapeTable)) return null;
  const rows = parameters.shapeOf(shapeTable)[0] ?? 0;
  return lookUp(parameters, shapeTable, { rows, width }, tokens.pick(shapes));
}

function adapterShapes(
  { graph }: Parameters,
  { width }: Embeddings,
  { shapes, rows, groups }: TokenIds,
): Value | null {
  if (shapes === null || groups === null) return null;
  return loraShapes(graph, groups, { shapes: rows.pick(shapes), width });
}

/** [tokens] int64 → [tokens, width]. */
function wordVectors(
  parameters: Parameters,
  { vocabulary, embeddings: { width, words } }: Architecture,
  ids: Value,
): Value {
  if (words === undefined) return lookUp(parameters, wordTable, { rows: vocabulary, width }, ids);
  const { graph } = parameters;
  const rows = words.length + 1;
  // Beyond the table: a token that it lacks fails the run.
  const rowOfWord = new BigInt64Array(vocabulary).fill(BigInt(rows));
  for (const [row, word] of words.entries()) rowOfWord[word] = BigInt(row);
  const indices = graph.constant(int64([vocabulary], rowOfWord)).gather(ids, 0);
  return lookUp(parameters, wordTable, { rows, width }, indices);
}

/** [tokens, hidden]. */
export function embedTokens(
  parameters: Parameters,
  architecture: Architecture,
  tokens: TokenIds,
  small: LinearLayers,
): Value {
  const { vocabulary, hidden, epsilon, embeddings } = architecture;
  const { width, projection } = embeddings;
  const ids = tokens.rows.pick(tokens.ids);
  const sizes = { vocabulary, width };
  const lookUpWords = (known: Value) => wordVectors(parameters, architecture, known);
  const words =
    tokens.groups === null
      ? withVirtualTokens(parameters, ids, sizes, lookUpWords)
      : withFedPrompts(parameters.graph, ids, sizes, lookUpWords);
  const added = [
    typeVectors(parameters, embeddings, tokens),
    positionVectors(parameters, embeddings, tokens),
    shapeVectors(parameters, embeddings, tokens),
    adapterShapes(parameters, embeddings, tokens),
  ];
  const sum = added.reduce<Value>((x, y) => (y === null ? x : x.add(y)), words);
  const project = (x: Value, place: "before norm" | "after norm") => {
    if (projection?.place !== place) return x;
    const { name, bias } = projection;
    const shape = { inputs: width, outputs: hidden };
    const on = small.on(x, { readers: [name] });
    return on.dense(name, bias ? shape : { ...shape, bias: "none" });
  };
  const before = project(sum, "before norm");
  const norm = { name: "embeddings.LayerNorm", width: Number(before.shape[1]), epsilon };
  return project(layerNorm(parameters, before, norm), "after norm");
}
