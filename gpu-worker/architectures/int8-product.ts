/**
 * Products in 8-bit integers: weights with a scale per output, and what they multiply rounded anew for each row with a
 * scale of its own, so that what shares a batch never changes an answer. Products are exact integers; only the rounding
 * differs from f32. Rows are u8 around a zero point; weights s8, or u8 around 128 for processors whose u8×s8
 * instruction saturates.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import type { Int8Rows } from "../weights/int8-rows.ts";
import { computedTogether } from "./computed-together.ts";
import { transposeInto } from "./transpose-matrix.ts";

export const levelMax = 255;
export const centreLevel = 128;

/** Rows [..., features] as u8. */
export type RoundedRows = {
  readonly values: Value;
  /** Of each row, [..., 1]. */
  readonly scale: Value;
  /** uint8 []. */
  readonly zeroPoint: Value;
};

/**
 * @param scale of each row of `x`, [..., 1]
 * @param zeroPoints uint8, of the same shape, all of them `zeroPoint`
 */
export function roundRows(
  x: Value,
  scale: Value,
  { zeroPoint, zeroPoints }: { readonly zeroPoint: Value; readonly zeroPoints: Value },
): RoundedRows {
  const axis = x.shape.length - 1;
  // A row is a block: with a scale per row instead ("axis 0") ONNX Runtime works on one thread.
  const block = { axis, block_size: Number(x.shape[axis]) };
  const values = x.op("QuantizeLinear", [scale, zeroPoints], block);
  return { values, scale, zeroPoint };
}

/** A matrix [outputs, inputs], read when the graph is written. */
export type Int8Matrix = {
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly load: () => Int8Rows;
};

export type Int8ProductOptions = {
  /** Whether this machine's u8×s8 product adds pairs in 16 bits and saturates (AVX2 without VNNI). */
  readonly saturates: boolean;
  /** Factor of the whole product. Default 1. */
  readonly gain?: number;
};

function shiftToUnsigned(values: Int8Array): Uint8Array {
  const shifted = new Uint8Array(values.length);
  // By index: `from` with a function takes ten times as long on millions of elements.
  for (let at = 0; at < values.length; at++) shifted[at] = (values[at] ?? 0) + centreLevel;
  return shifted;
}

type Named = Pick<Int8Matrix, "name" | "inputs" | "outputs"> & { readonly values: () => Int8Array };

/** Weights [inputs, outputs] as the product takes them, and their zero point, null for 0. */
function weightConstant(
  graph: GraphBuilder,
  { name, inputs, outputs, values }: Named,
  saturates: boolean,
): { weight: Value; zeroPoint: Value | null } {
  const shape = [inputs, outputs];
  const signed = () => transposeInto(values(), new Int8Array(inputs * outputs), inputs);
  if (!saturates) {
    return {
      weight: graph.initializer({ name, dtype: "int8", shape, load: signed }),
      zeroPoint: null,
    };
  }
  const shifted = () => shiftToUnsigned(signed());
  const weight = graph.initializer({ name, dtype: "uint8", shape, load: shifted });
  return { weight, zeroPoint: graph.scalar("uint8", centreLevel) };
}

/** gain·x·Wᵀ [..., outputs] in f32. */
export function int8Product(
  graph: GraphBuilder,
  x: RoundedRows,
  matrix: Int8Matrix,
  { saturates, gain = 1 }: Int8ProductOptions,
): Value {
  const rows = computedTogether(matrix.load);
  const scalesOf = rows("scales");
  const named = { ...matrix, name: graph.uniqueName(matrix.name), values: rows("values") };
  const { weight, zeroPoint } = weightConstant(graph, named, saturates);
  const scales = graph.initializer({
    name: `${named.name}.scale`,
    dtype: "float32",
    shape: [matrix.outputs],
    load: () => scalesOf().map((scale) => scale * gain),
  });
  const whole = graph.scalar("float32", 1);
  return x.values
    .op("com.microsoft.MatMulIntegerToFloat", [weight, whole, scales, x.zeroPoint, zeroPoint])
    .mul(x.scale);
}
