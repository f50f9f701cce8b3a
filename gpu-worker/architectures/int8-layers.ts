/**
 * Linear layers in 8-bit integers: weights with a scale per output, activations rounded anew for each token with a scale
 * of its own, so that what shares a batch never changes an answer. Products are exact integers; only the rounding differs
 * from f32. Activations are u8 around a zero point; weights s8, or u8 around 128 for processors whose
 * u8×s8 instruction saturates.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import { tensor } from "../tensor/tensor.ts";
import type { Int8Rows } from "../weights/int8-rows.ts";
import type { LayersOnInput, LinearLayers, Range } from "./linear-layers.ts";
import type { Parameters } from "./parameters.ts";
import { transposeInto } from "./transpose-matrix.ts";

export type Int8Options = {
  /** Whether this machine's u8×s8 product adds pairs in 16 bits and saturates (AVX2 without VNNI). */
  readonly saturates: boolean;
};

/** Activations [tokens, features] as u8, with the scale of each token [tokens, 1]. */
type Rounded = { readonly values: Value; readonly scale: Value; readonly zeroPoint: Value };

const LEVELS = 255;
const CENTRE = 128;
/** Steps kept for values below zero where few and small ones are: GELU's least value is −0.17. */
const FEW = 24;
/** A token of zeros must not divide by zero. */
const LEAST_SCALE = 1e-10;

/** Scale [tokens] and zero point for the rows of `x`. */
function rowScales(x: Value, range: Range): { scale: Value; zeroPoint: number } {
  const largest = x.reduceMax([-1], false);
  if (range !== null) {
    const below = Math.max(-range.least / FEW, LEAST_SCALE);
    return { scale: largest.mul(1 / (LEVELS - FEW)).max(below), zeroPoint: FEW };
  }
  const least = x.reduceMin([-1], false);
  const magnitude = largest.max(least.neg());
  return { scale: magnitude.mul(1 / (LEVELS - CENTRE)).max(LEAST_SCALE), zeroPoint: CENTRE };
}

function round(graph: GraphBuilder, x: Value, range: Range): Rounded {
  const { scale, zeroPoint } = rowScales(x, range);
  const centre = graph.scalar("uint8", zeroPoint);
  const centres = graph.op("Expand", [centre, scale.op("Shape")]);
  const values = x.op("QuantizeLinear", [scale, centres], { axis: 0 });
  return { values, scale: scale.unsqueeze([1]), zeroPoint: centre };
}

/** Weights [in, out] as the product takes them, and their zero point, null for 0. */
function weightConstant(
  graph: GraphBuilder,
  name: string,
  { rows, columns, values }: Int8Rows,
  saturates: boolean,
): { weight: Value; zeroPoint: Value | null } {
  const shape = [columns, rows];
  const load = () => transposeInto(values, new Int8Array(values.length), columns);
  if (!saturates) {
    return { weight: graph.initializer({ name, dtype: "int8", shape, load }), zeroPoint: null };
  }
  const shifted = () => Uint8Array.from(load(), (value) => value + CENTRE);
  const weight = graph.initializer({ name, dtype: "uint8", shape, load: shifted });
  return { weight, zeroPoint: graph.scalar("uint8", CENTRE) };
}

export function int8Layers(parameters: Parameters, { saturates }: Int8Options): LinearLayers {
  const { graph } = parameters;

  /** gain·x·Wᵀ [tokens, out] in f32. */
  function product(x: Rounded, name: string, inputs: number, gain = 1): Value {
    const rows = parameters.int8Rows(`${name}.weight`, inputs);
    const unique = graph.uniqueName(`${name}.weight`);
    const { weight, zeroPoint } = weightConstant(graph, unique, rows, saturates);
    const gained = rows.scales.map((scale) => scale * gain);
    const scales = graph.constant(tensor("float32", [rows.rows], gained), `${unique}.scale`);
    const whole = graph.scalar("float32", 1);
    return x.values
      .op("com.microsoft.MatMulIntegerToFloat", [weight, whole, scales, x.zeroPoint, zeroPoint])
      .mul(x.scale);
  }

  return {
    on: (x, range = null): LayersOnInput => {
      const rounded = round(graph, x, range);
      return {
        dense: (name, { inputs, outputs, bias }) =>
          product(rounded, name, inputs).add(parameters.constant(`${name}.bias`, [outputs], bias)),
        heads: (name, { inputs, outputs, heads, gain = 1 }) =>
          product(rounded, name, inputs, gain)
            .reshape([-1, heads, outputs / heads])
            .transpose([1, 0, 2]),
      };
    },
  };
}
