/**
 * What distances between tokens add to attention's scores in DeBERTa (disentangled attention,
 * https://arxiv.org/abs/2006.03654, section 3.1): the query of i times the key of the distance i−j, and the key of j
 * times the query of that distance. The distances' keys and queries depend on weights alone: ONNX Runtime folds them
 * into constants when it loads the graph.
 *
 * transformers looks the products up pair by pair, with an index as large as the scores. Here the table is first
 * laid out distance by distance (2 · sequence rows, the same for every text), so that the products of a token stand in
 * a row in the order of its neighbours, and shifting each row by one against the last (`skew`) needs slices alone.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import type { Architecture, LayerNames, RelativePositions } from "./architecture.ts";
import type { ScoreTerms, Turn } from "./attention.ts";
import { layerNorm } from "./layer-norm.ts";
import type { LinearLayers } from "./linear-layers.ts";
import type { Parameters } from "./parameters.ts";

/** In float32 throughout, as PyTorch computes it: a rounding apart is a bucket apart. */
function bucketOf(distance: number, { span, reach }: RelativePositions): number {
  const middle = Math.floor(span / 2);
  const far = Math.abs(distance);
  if (far <= middle) return distance;
  const ratio = Math.fround(Math.log(Math.fround(far / middle)));
  const whole = Math.fround(Math.log(Math.fround((reach - 1) / middle)));
  // 0/0 where the near half is one distance and ends at the reach: nothing farther is told apart.
  const part = Math.fround(Math.fround(ratio / whole) * (middle - 1)) || 0;
  return Math.sign(distance) * (Math.ceil(part) + middle);
}

/**
 * The table's row for the distance i−j. Where the near half of the buckets alone ends beyond the reach, the logarithms
 * turn round for what is farther still, in PyTorch too.
 */
export function rowOfDistance(distance: number, relative: RelativePositions): number {
  const bucket = relative.bucketed ? bucketOf(distance, relative) : distance;
  return Math.min(Math.max(bucket + relative.span, 0), 2 * relative.span - 1);
}

/** Rows of the table, for the whole graph. */
export type Distances = {
  /** f32 [2·span, hidden]. */
  readonly table: Value;
  /** int64 [2·sequence], rows for the distances sequence−1, sequence−2 … −sequence. */
  readonly falling: Value;
  /** The same for 1−sequence … sequence. */
  readonly rising: Value;
  /** int64 [1]. */
  readonly sequence: Value;
};

/** `gridShape` int64 [2]: sequence, batch. */
export function readDistances(
  parameters: Parameters,
  { hidden, epsilon, positions }: Architecture,
  relative: RelativePositions,
  gridShape: Value,
): Distances {
  const { graph } = parameters;
  const raw = parameters.tensor(relative.table, [2 * relative.span, hidden]);
  const norm = { name: relative.norm ?? "", width: hidden, epsilon };
  const table = relative.norm === null ? raw : layerNorm(parameters, raw, norm);
  // Beyond both, every distance has the row of the farthest.
  const most = Math.max(positions, relative.reach);
  const rows = graph.integers(
    Array.from({ length: 2 * most + 1 }, (_, at) => rowOfDistance(at - most, relative)),
  );
  const sequence = gridShape.gather(graph.scalar("int64", 0), 0);
  const rowsFrom = (start: Value, end: Value, step: number) => {
    const counted = graph.op("Range", [start, end, graph.scalar("int64", step)]);
    const known = counted.max(0).op("Min", [graph.scalar("int64", 2 * most)]);
    return rows.gather(known, 0);
  };
  const [before, after] = [sequence.neg().add(most), sequence.add(most)];
  return {
    table,
    falling: rowsFrom(after.sub(1), before.sub(1), -1),
    rising: rowsFrom(before.add(1), after.add(1), 1),
    sequence: sequence.reshape([1]),
  };
}

/** int64 [1] each. */
type Skew = {
  /** Rows of the products, one more than the first column taken of the first row. */
  readonly rows: Value;
  readonly width: Value;
  /** Columns wanted of each row. */
  readonly taken: Value;
};

/** Element [r, c] of the result is [r, rows−1−r+c] of `products` [batch, heads, rows, width]. */
function skew(graph: GraphBuilder, products: Value, { rows, width, taken }: Skew): Value {
  const axis = (at: number) => graph.integers([at]);
  const narrower = width.sub(1);
  const start = rows.sub(1);
  const end = start.add(rows.mul(narrower));
  const shape = graph.op("Concat", [graph.integers([0, 0]), rows, narrower], { axis: 0 });
  return products
    .reshape([0, 0, -1])
    .op("Slice", [start, end, axis(2)])
    .op("Reshape", [shape])
    .op("Slice", [axis(0), taken, axis(3)]);
}

export type Content = {
  /** [sequence·batch, hidden] each; the query scaled. */
  readonly query: Value;
  readonly key: Value;
  /** int64 [4]: sequence, batch, heads, width. */
  readonly shape: Value;
  readonly names: LayerNames;
  /** What the query was scaled by. */
  readonly gain: number;
};

/** What all layers' scores are made of. */
type Table = Distances & { readonly layers: LinearLayers; readonly architecture: Architecture };

/** The rows of the table as `layer` reads them, [2·span, hidden]. */
function rowsOf({ layers, architecture, table }: Table, layer: string, gain: number): Value {
  const { hidden } = architecture;
  return layers
    .on(table, { readers: [layer] })
    .dense(layer, { inputs: hidden, outputs: hidden, gain });
}

/** Rows [n, hidden] → [heads, width, n]. */
function byHead({ architecture: { hidden, heads } }: Table, rows: Value): Value {
  return rows.reshape([-1, heads, hidden / heads]).transpose([1, 2, 0]);
}

/** Of [batch, heads, sequence, 2·sequence], all. */
function shifted(graph: GraphBuilder, products: Value, sequence: Value): Value {
  const rows = graph.outer(sequence);
  return skew(graph, products, { rows, width: rows.mul(2), taken: rows });
}

/** Of each query: its products with the keys of distances. */
function contentToPosition(table: Table, layer: string, { query, shape }: Content): ScoreTerms {
  const { sequence, falling } = table;
  const keys = byHead(table, rowsOf(table, layer, 1).gather(falling, 0));
  return {
    whole(graph) {
      const queries = graph.outer(query).op("Reshape", [shape]).transpose([1, 2, 0, 3]);
      return shifted(graph, queries.matMul(keys), sequence);
    },
    // Of the distances, those that occur: from the last query to the first token, to the first query to the last token.
    turns:
      () =>
      (inner, { queries, start, rows }) => {
        const taken = inner.outer(sequence);
        const from = taken.sub(start).sub(rows);
        const width = taken.add(rows);
        const near = inner.outer(keys).op("Slice", [from, from.add(width), inner.integers([2])]);
        return skew(inner, queries.matMul(near), { rows: inner.outer(rows), width, taken });
      },
  };
}

/** Of each key: its products with the queries of distances. */
function positionToContent(table: Table, layer: string, { key, shape, gain }: Content): ScoreTerms {
  const { sequence, rising } = table;
  const queries = rowsOf(table, layer, gain);
  const byDistance = byHead(table, queries.gather(rising, 0));
  const byRow = byHead(table, queries);
  const keysIn = (graph: GraphBuilder) =>
    graph.outer(key).op("Reshape", [shape]).transpose([1, 2, 0, 3]);
  return {
    whole: (graph) =>
      shifted(graph, keysIn(graph).matMul(byDistance), sequence).transpose([0, 1, 3, 2]),
    // Shifting would take all distances of every key for a few queries: here the products are looked up one by one.
    turns(graph) {
      const products = keysIn(graph).matMul(byRow);
      return (inner, turn) => {
        const sizes = sizesOf(inner, shape, turn.rows);
        const index = rowsBetween(inner, table, turn).op("Expand", [sizes]);
        return inner
          .outer(products)
          .op("GatherElements", [index], { axis: 3 })
          .transpose([0, 1, 3, 2]);
      };
    },
  };
}

/** The table's row for the distance from each key to each of some queries, int64 [sequence, rows]. */
function rowsBetween(
  inner: GraphBuilder,
  { sequence, rising }: Table,
  { start, rows }: Pick<Turn, "start" | "rows">,
): Value {
  const [zero, one] = [inner.scalar("int64", 0), inner.scalar("int64", 1)];
  const counted = (count: Value) => inner.op("Range", [zero, count.squeeze([0]), one]);
  const length = inner.outer(sequence);
  const positions = counted(inner.outer(rows)).add(start).unsqueeze([0]);
  const distances = positions.sub(counted(length).unsqueeze([1]));
  return inner.outer(rising).gather(distances.add(length).sub(1), 0);
}

/** @param shape int64 [4]: sequence, batch, heads, width @returns int64 [4]: batch, heads, sequence, rows */
function sizesOf(graph: GraphBuilder, shape: Value, rows: Value): Value {
  const sizes = graph.outer(shape);
  const parts = [sizes.slice(0, 1, 3), sizes.slice(0, 0, 1), rows];
  return graph.op("Concat", parts, { axis: 0 });
}

/** What distances add to one layer's scores. */
export function relativeScores(
  layers: LinearLayers,
  architecture: Architecture,
  relative: RelativePositions,
  distances: Distances,
): (content: Content) => ScoreTerms {
  const table: Table = { ...distances, layers, architecture };
  return (content) => {
    const sources = relative.layers(content.names);
    const sides: ScoreTerms[] = [];
    if (sources.key !== null) sides.push(contentToPosition(table, sources.key, content));
    if (sources.query !== null) sides.push(positionToContent(table, sources.query, content));
    return {
      whole: (graph) => sum(sides.map((side) => side.whole(graph))),
      turns(graph) {
        const each = sides.map((side) => side.turns(graph));
        return (inner, turn) => sum(each.map((side) => side(inner, turn)));
      },
    };
  };
}

function sum(values: readonly Value[]): Value {
  return values.reduce((total, each) => total.add(each));
}
