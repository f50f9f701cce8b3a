/**
 * A decoder's products in 8-bit integers with a scale for each row of weights and each token (int8-product.ts): of many
 * tokens several times as fast as products in blocks, and nearly as accurate where what is multiplied is rotated. The
 * hidden state is so by its weights (rotated-weights.ts); what `down` multiplies is rotated here, as it is computed (R4
 * of SpinQuant). The weights of values take 16 bits, as two products: SmolLM2 lost more by theirs than by those of
 * queries and keys together.
 */
import type { Value } from "../onnx/value.ts";
import { type Int8Rows, joinRows, quantiseRows, remainderOf } from "../weights/int8-rows.ts";
import type { MatrixSize } from "./block-weights.ts";
import type { DecoderProducts, Projection } from "./decoder-products.ts";
import { sizeOf } from "./feature-heads.ts";
import { centreLevel, int8Product, levelMax, roundRows } from "./int8-product.ts";
import type { RoundedRows } from "./int8-product.ts";
import { KroneckerRotation } from "./kronecker-rotation.ts";
import type { Parameters } from "./parameters.ts";
import { biasOf, matrixOf } from "./projection-weights.ts";

export type RowOptions = {
  /** See `Int8ProductOptions`. */
  readonly saturates: boolean;
  readonly embed: DecoderProducts["embed"];
};

/** Of each row, [..., 1]. A row of zeros has 0, and whatever it is rounded to it is multiplied by that. */
function scaleOf(x: Value): Value {
  return x
    .op("Abs")
    .reduceMax([-1], true)
    .mul(1 / (levelMax - centreLevel));
}

/** The last `precise` rows take 16 bits: below all rows is what is left of these. */
function quantise(matrix: Float32Array, columns: number, precise: number): Int8Rows {
  const rows = quantiseRows(matrix, columns);
  if (precise === 0) return rows;
  const from = rows.rows - precise;
  return joinRows(rows, quantiseRows(remainderOf(matrix, rows, from), columns));
}

export function rowProducts(
  parameters: Parameters,
  { saturates, embed }: RowOptions,
): DecoderProducts {
  const { graph } = parameters;
  const zeroPoint = graph.scalar("uint8", centreLevel);
  /** uint8 [batch, sequence, 1], of every projection alike. */
  let zeroPoints: Value | null = null;
  /** Of what `down` multiplies in every block. */
  let rotation: KroneckerRotation | null = null;

  const zeroPointsOf = (scale: Value) => graph.op("Expand", [zeroPoint, scale.op("Shape")]);

  /** @param precise of its rows, see `quantise`: what is left of them has products of its own, behind the others */
  const product = (
    x: RoundedRows,
    { name, rows, columns: inputs }: MatrixSize,
    { read, precise = 0 }: { read: () => Float32Array; precise?: number },
  ) => {
    const load = () => quantise(read(), inputs, precise);
    const matrix = { name, inputs, outputs: rows + precise, load };
    return int8Product(graph, x, matrix, { saturates });
  };

  const rounded = (x: Value) => {
    const scale = scaleOf(x);
    zeroPoints ??= zeroPointsOf(scale);
    return roundRows(x, scale, { zeroPoint, zeroPoints });
  };

  const projectDown = (x: Value, projection: Projection) => {
    const turn = (rotation ??= new KroneckerRotation(graph, sizeOf(projection.inputs)));
    const matrix = matrixOf(parameters, projection);
    const read = () => turn.rotateRows(matrix.load());
    return product(rounded(turn.rotate(x)), matrix, { read });
  };

  const projectPrecisely = (x: Value, projection: Projection) => {
    const matrix = matrixOf(parameters, projection);
    const precise = sizeOf(projection.layers.at(-1)?.outputs ?? 0);
    const all = product(rounded(x), matrix, { read: matrix.load, precise });
    const sizes = graph.integers([matrix.rows - precise, precise, precise]);
    const [others, most, rest] = graph.ops("Split", [all, sizes], { axis: -1 }, 3);
    if (!others || !most || !rest) throw new TypeError("a split gives three");
    return graph.op("Concat", [others, most.add(rest)], { axis: -1 });
  };

  const projectPlainly = (x: Value, projection: Projection) => {
    const matrix = matrixOf(parameters, projection);
    return product(rounded(x), matrix, { read: matrix.load });
  };

  const projects = {
    queryKeyValue: projectPrecisely,
    attentionOutput: projectPlainly,
    gateUp: projectPlainly,
    down: projectDown,
  };

  return {
    embed,
    project: (x, projection) => {
      const sum = projects[projection.kind](x, projection);
      return projection.bias ? sum.add(biasOf(parameters, projection)) : sum;
    },
    score: (x, table) => {
      const { name, rows, columns } = table;
      const read = parameters.reader([{ name, shape: [rows, columns] }]);
      // Of no rows at all ONNX Runtime reduces none, and leaves all columns there.
      const scale = scaleOf(x).slice(-1, 0, 1);
      const asked = roundRows(x, scale, { zeroPoint, zeroPoints: zeroPointsOf(scale) });
      return product(asked, table, { read: () => read()[0] ?? new Float32Array() });
    },
  };
}
