/**
 * A decoder's products in 8-bit integers with a scale for each row of weights and each token (int8-product.ts): of many
 * tokens several times as fast as products in blocks, and nearly as accurate where the hidden state is rotated
 * (rotated-weights.ts). Two stay in blocks: `down`, since what the feed-forward block computes between its products is
 * not rotated, and `queryKeyValue`, whose rounding scores are so sensitive to that it lost more than any other.
 */
import type { Value } from "../onnx/value.ts";
import { quantiseRows } from "../weights/int8-rows.ts";
import type { DecoderProducts, ProjectionKind } from "./decoder-products.ts";
import { centreLevel, int8Product, levelMax, roundRows } from "./int8-product.ts";
import type { RoundedRows } from "./int8-product.ts";
import type { Parameters } from "./parameters.ts";
import { biasOf, matrixOf } from "./projection-weights.ts";

const kindsInRows: ReadonlySet<ProjectionKind> = new Set(["attentionOutput", "gateUp"]);

export type RowOptions = {
  /** See `Int8ProductOptions`. */
  readonly saturates: boolean;
  /** What the others are computed in. */
  readonly blocks: DecoderProducts;
};

/** Of each row, [..., 1]. A row of zeros has 0, and whatever it is rounded to it is multiplied by that. */
function scaleOf(x: Value): Value {
  return x
    .op("Abs")
    .reduceMax([-1], true)
    .mul(1 / (levelMax - centreLevel));
}

export function rowProducts(
  parameters: Parameters,
  { saturates, blocks }: RowOptions,
): DecoderProducts {
  const { graph } = parameters;
  const zeroPoint = graph.scalar("uint8", centreLevel);
  /** uint8 [batch, sequence, 1], of every projection alike. */
  let zeroPoints: Value | null = null;

  const zeroPointsOf = (scale: Value) => graph.op("Expand", [zeroPoint, scale.op("Shape")]);

  const product = (
    x: RoundedRows,
    name: string,
    size: readonly [number, number],
    read: () => Float32Array,
  ) => {
    const [outputs, inputs] = size;
    const load = () => quantiseRows(read(), inputs);
    return int8Product(graph, x, { name, inputs, outputs, load }, { saturates });
  };

  return {
    embed: blocks.embed,
    project: (x, projection) => {
      if (!kindsInRows.has(projection.kind)) return blocks.project(x, projection);
      const { name, rows, columns, load } = matrixOf(parameters, projection);
      const scale = scaleOf(x);
      zeroPoints ??= zeroPointsOf(scale);
      const rounded = roundRows(x, scale, { zeroPoint, zeroPoints });
      const sum = product(rounded, name, [rows, columns], load);
      return projection.bias ? sum.add(biasOf(parameters, projection)) : sum;
    },
    score: (x, { name, rows, columns }) => {
      const read = parameters.reader([{ name, shape: [rows, columns] }]);
      // Of no rows at all ONNX Runtime reduces none, and leaves all columns there.
      const scale = scaleOf(x).slice(-1, 0, 1);
      const rounded = roundRows(x, scale, { zeroPoint, zeroPoints: zeroPointsOf(scale) });
      return product(rounded, name, [rows, columns], () => read()[0] ?? new Float32Array());
    },
  };
}
