/** What a decoder's graph is told of a run beside keys and values, see causal-transformer.ts. */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import { type Heads, sizeOf } from "./feature-heads.ts";

export type Batch = {
  /** int64 [batch, sequence]. */
  readonly ids: Value;
  /** Index of each text's last token in its keys, int32 [batch]. */
  readonly last: Value;
  /** int32 []. */
  readonly totalLength: Value;
  /** int64 [asked]. */
  readonly positions: Value;
  /** Null: the graph's runs are not mixed. */
  readonly piece: Piece | null;
};

/** Of a prompt, beside new tokens of other texts. */
export type Piece = {
  /** bool []. */
  readonly exists: Value;
  /** Index of its last token in its text's keys, int32 [1]. */
  readonly last: Value;
  /** int32 []. */
  readonly totalLength: Value;
  /** How many rows are of other texts, and how many of it, int64 [2]. */
  readonly parts: Value;
  /** Of what attention gives to all rows, int64 [3]. */
  readonly attendedShape: Value;
};

/** Adds the inputs, those of a piece for runs that are mixed. */
export function readBatch(graph: GraphBuilder, queryHeads: Heads, mixed: boolean): Batch {
  const ids = graph.input("input_ids", "int64", ["batch", "sequence"]);
  const lengths = graph.input("lengths", "int32", ["batch"]);
  const totalLength = graph.input("total_length", "int32", []);
  const positions = graph.input("positions", "int64", ["asked"]);
  const rows = { ids, last: lengths.sub(1), totalLength, positions };
  if (!mixed) return { ...rows, piece: null };
  const pieceLength = graph.input("piece_length", "int32", [1]);
  const pieceTotal = pieceLength.reshape([]);
  const width = graph.integers([sizeOf(queryHeads)]);
  const shape = ids.op("Shape");
  const others = lengths.op("Shape");
  const own = shape.slice(0, 1, 2).sub(others);
  return {
    ...rows,
    piece: {
      exists: pieceTotal.op("Greater", [graph.scalar("int32", 0)]),
      last: pieceLength.sub(1),
      totalLength: pieceTotal,
      parts: graph.op("Concat", [others, own], { axis: 0 }),
      attendedShape: graph.op("Concat", [shape, width], { axis: 0 }),
    },
  };
}
