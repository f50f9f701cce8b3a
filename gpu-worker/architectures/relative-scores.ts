/**
 * What distances between tokens add to attention's scores in DeBERTa (disentangled attention,
 * https://arxiv.org/abs/2006.03654, section 3.1): the query of i times the key of the distance i−j, and the key of j times
 * the query of that distance. The distances' keys and queries depend on weights alone: ONNX Runtime folds them into
 * constants when it loads the graph.
 *
 * transformers looks the products up pair by pair, with an index as large as the scores. Here the table is first
 * laid out distance by distance (2 · sequence rows, the same for every text), so that the products of a token stand in a
 * row in the order of its neighbours, and shifting each row by one against the last (`skew`) needs slices alone.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import type { Architecture, LayerNames, RelativePositions } from "./architecture.ts";
import { f32Layers } from "./f32-layers.ts";
import { layerNorm } from "./layer-norm.ts";
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
  const raw = parameters.constant(relative.table, [2 * relative.span, hidden]);
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

/** Element [i, i+c] of the result is [i, sequence−1+c] of `products` [batch, heads, sequence, 2·sequence], for each c. */
function skew(graph: GraphBuilder, products: Value, sequence: Value): Value {
  const axis = (at: number) => graph.integers([at]);
  const width = sequence.mul(2).sub(1);
  const start = sequence.sub(1);
  const end = start.add(sequence.mul(width));
  const shape = graph.op("Concat", [graph.integers([0, 0]), sequence, width], { axis: 0 });
  return products
    .reshape([0, 0, -1])
    .op("Slice", [start, end, axis(2)])
    .op("Reshape", [shape])
    .op("Slice", [axis(0), sequence, axis(3)]);
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

/** A layer that reads the table, and what its rows are multiplied by. */
type Side = {
  readonly layer: string;
  readonly content: Value;
  /** Rows of the table, int64 [2·sequence]. */
  readonly rows: Value;
  readonly gain: number;
};

/** Adds one layer's scores: f32 [batch, heads, sequence, sequence]. */
export function relativeScores(
  parameters: Parameters,
  { hidden, heads }: Architecture,
  relative: RelativePositions,
  { table, falling, rising, sequence }: Distances,
): (content: Content) => Value {
  const { graph } = parameters;

  /** The layer's rows by distance, [heads, width, 2·sequence]. */
  function rowsOf({ layer, rows, gain }: Side): Value {
    const bias = (elements: Float32Array) => elements.map((element) => element * gain);
    return f32Layers(parameters)
      .on(table, { readers: [layer] })
      .dense(layer, { inputs: hidden, outputs: hidden, gain, bias })
      .gather(rows, 0)
      .reshape([-1, heads, hidden / heads])
      .transpose([1, 2, 0]);
  }

  /** By token of the content, then by the other. */
  function scores(side: Side, shape: Value): Value {
    const content = side.content.op("Reshape", [shape]).transpose([1, 2, 0, 3]);
    return skew(graph, content.matMul(rowsOf(side)), sequence);
  }

  return ({ query, key, shape, names, gain }) => {
    const layers = relative.layers(names);
    const sides: Value[] = [];
    if (layers.key !== null) {
      sides.push(scores({ layer: layers.key, content: query, rows: falling, gain: 1 }, shape));
    }
    if (layers.query !== null) {
      const turned = scores({ layer: layers.query, content: key, rows: rising, gain }, shape);
      sides.push(turned.transpose([0, 1, 3, 2]));
    }
    return sides.reduce((sum, each) => sum.add(each));
  };
}
