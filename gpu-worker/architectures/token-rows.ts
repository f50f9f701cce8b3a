/**
 * Where each token of a batch stands among the rows that an encoder's layers work on: token by token, all texts' first
 * tokens, then all second ones. Packed, padding has no row: layers compute real tokens alone, and only attention sees
 * the whole grid of texts × tokens. A packed batch must hold at least one token. Grouped, rows are as packed ones, but
 * in an order that the batch gives.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import type { LoraGroups } from "./lora-layers.ts";

export type TokenRows = {
  /** int64 [sequence, batch]'s own shape, [2]. */
  readonly gridShape: Value;
  /** Column of each token, int64 [tokens]. */
  readonly positions: Value;
  /** int64 [batch, sequence] → [tokens]. */
  pick(values: Value): Value;
  /** Rows of tokens [tokens, width] → of the grid [sequence·batch, width]; padding shows some token's row, or zeros. */
  toGrid(rows: Value): Value;
  /** Back: [sequence·batch, width] → [tokens, width]. */
  fromGrid(rows: Value): Value;
  /** Whether attention's layers work on rows of tokens, and their results go to the grid; else what they read does. */
  readonly late: boolean;
};

function same(rows: Value): Value {
  return rows;
}

function flatten(values: Value): Value {
  return values.transpose([1, 0]).reshape([-1]);
}

/** Column of each cell of the grid, int64 [sequence·batch]. */
function columns(graph: GraphBuilder, gridShape: Value): Value {
  const zero = graph.scalar("int64", 0);
  const sequence = gridShape.gather(zero, 0);
  const counted = graph.op("Range", [zero, sequence, graph.scalar("int64", 1)]).unsqueeze([1]);
  return counted.op("Expand", [gridShape]).reshape([-1]);
}

/** `mask` int64 [batch, sequence]: 1 for a token, 0 for padding. */
export function paddedRows(graph: GraphBuilder, mask: Value): TokenRows {
  const gridShape = mask.transpose([1, 0]).op("Shape");
  const positions = columns(graph, gridShape);
  return { gridShape, positions, pick: flatten, toGrid: same, fromGrid: same, late: false };
}

/**
 * @param trained whether gradients go through it. Padding then shows zeros: what shows some token's row would have its
 *   gradients added to that row by two threads at once (autodiff/rules/look-ups.ts)
 */
export function packedRows(graph: GraphBuilder, mask: Value, trained = false): TokenRows {
  const { gridShape, positions } = paddedRows(graph, mask);
  const flat = flatten(mask);
  const cells = flat.op("NonZero").reshape([-1]);
  const order = flat.op("CumSum", [graph.scalar("int64", 0)]);
  const rowOfCell = order.sub(1).max(0);
  return {
    gridShape,
    positions: positions.gather(cells, 0),
    pick: (values) => flatten(values).gather(cells, 0),
    ...(trained ? scattered(graph, flat, cells) : gathered(rowOfCell, cells)),
    late: false,
  };
}

type Moves = Pick<TokenRows, "toGrid" | "fromGrid">;

function gathered(rowOfCell: Value, cells: Value): Moves {
  return {
    toGrid: (rows) => rows.gather(rowOfCell, 0),
    fromGrid: (rows) => rows.gather(cells, 0),
  };
}

function scattered(graph: GraphBuilder, flat: Value, cells: Value): Moves {
  const places = cells.unsqueeze([-1]);
  return {
    toGrid(rows) {
      const width = rows.op("Shape").slice(0, 1, 2);
      const shape = graph.op("Concat", [flat.op("Shape"), width], { axis: 0 });
      const grid = graph.scalar(rows.dtype, 0).op("Expand", [shape]);
      return grid.op("ScatterND", [places, rows]);
    },
    fromGrid: (rows) => rows.op("GatherND", [places]),
  };
}

/** Where a row repeats a token, only one of them is that token's. */
export function groupedRows(graph: GraphBuilder, mask: Value, groups: LoraGroups): TokenRows {
  const { gridShape, positions } = paddedRows(graph, mask);
  const cells = groups.cells.reshape([-1]);
  return {
    gridShape,
    positions: positions.gather(cells, 0),
    pick: (values) => flatten(values).gather(cells, 0),
    toGrid: (rows) => rows.gather(groups.rows, 0),
    fromGrid: (rows) => rows.gather(cells, 0),
    late: true,
  };
}
