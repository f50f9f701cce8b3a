/**
 * The linear layers of an encoder in 8-bit integers (int8-product.ts). Channels that reach much further than others are
 * divided by a factor that their weights take, where it is known how far they reach.
 */
import type { Value } from "../onnx/value.ts";
import { tensor } from "../tensor/tensor.ts";
import { dequantiseRows, quantiseRows } from "../weights/int8-rows.ts";
import type { Int8Rows } from "../weights/int8-rows.ts";
import { smoothingFactors } from "./channel-ranges.ts";
import type { ChannelRanges } from "./channel-ranges.ts";
import { foldedBias } from "./folded-bias.ts";
import { tensorsOf } from "./linear-layers.ts";
import type { LayerInput, LayersOnInput, LinearLayers } from "./linear-layers.ts";
import { centreLevel, int8Product, levelMax, roundRows } from "./int8-product.ts";
import type { RoundedRows } from "./int8-product.ts";
import type { Parameters } from "./parameters.ts";
import { timesColumns } from "./times-columns.ts";

export type Int8Options = {
  /** Whether this machine's u8×s8 product adds pairs in 16 bits and saturates (AVX2 without VNNI). */
  readonly saturates: boolean;
  readonly ranges: ChannelRanges | null;
};

/** Activations [tokens, features]. */
type Rounded = RoundedRows & {
  /** What the channels were divided by, the weights take as factor; null for nothing. */
  readonly factors: Float32Array | null;
};

/** Steps kept for values below zero where few and small ones are: GELU's least value is −0.17. */
const levelsBelowZero = 24;
/** A token of zeros must not divide by zero. */
const scaleMin = 1e-10;

/** Scale [tokens, 1] and zero point for the rows of `x`. */
function rowScales(x: Value, least: number | undefined): { scale: Value; zeroPoint: number } {
  const largest = x.reduceMax([-1], true);
  if (least !== undefined) {
    const below = Math.max(-least / levelsBelowZero, scaleMin);
    return {
      scale: largest.mul(1 / (levelMax - levelsBelowZero)).max(below),
      zeroPoint: levelsBelowZero,
    };
  }
  const magnitude = largest.max(x.reduceMin([-1], true).neg());
  return {
    scale: magnitude.mul(1 / (levelMax - centreLevel)).max(scaleMin),
    zeroPoint: centreLevel,
  };
}

/** Largest magnitude on each input channel among the weights of all `readers`. */
function weightRange(parameters: Parameters, readers: readonly string[], inputs: number) {
  const range = new Float32Array(inputs);
  for (const reader of readers) {
    for (const [at, weight] of parameters.elements(`${reader}.weight`).entries()) {
      const channel = at % inputs;
      range[channel] = Math.max(range[channel] ?? 0, Math.abs(weight));
    }
  }
  return range;
}

export function int8Layers(parameters: Parameters, options: Int8Options): LinearLayers {
  const { graph } = parameters;

  function factorsFor({ readers }: LayerInput): Float32Array | null {
    const range = options.ranges?.get(readers[0] ?? "");
    if (range === undefined) return null;
    return smoothingFactors(range, weightRange(parameters, readers, range.length));
  }

  function round(x: Value, input: LayerInput): Rounded {
    const factors = factorsFor(input);
    const divisor = factors?.map((factor) => 1 / factor);
    const smooth = divisor
      ? x.mul(graph.constant(tensor("float32", [divisor.length], divisor)))
      : x;
    const { scale, zeroPoint } = rowScales(smooth, input.least);
    const centre = graph.scalar("uint8", zeroPoint);
    const centres = graph.op("Expand", [centre, scale.op("Shape")]);
    const rounded = roundRows(smooth, scale, { zeroPoint: centre, zeroPoints: centres });
    return { ...rounded, factors };
  }

  /** As stored where that is int8 already and the channels are as they were. */
  function weightRows(name: string, inputs: number, factors: Float32Array | null): Int8Rows {
    const rows = parameters.int8Rows(name, inputs);
    if (factors === null) return rows;
    const matrix = parameters.isInt8(name) ? dequantiseRows(rows) : parameters.elements(name);
    return quantiseRows(timesColumns(matrix, factors), inputs);
  }

  /** gain·x·Wᵀ [tokens, out] in f32. */
  function product(x: Rounded, name: string, inputs: number, gain: number): Value {
    const rows = weightRows(name, inputs, x.factors);
    const matrix = { name, inputs, outputs: rows.rows, load: () => rows };
    return int8Product(graph, x, matrix, { saturates: options.saturates, gain });
  }

  return {
    on: (x, input): LayersOnInput => {
      const rounded = round(x, input);
      return {
        dense: (layer, shape) => {
          const { inputs, outputs, gain = 1 } = shape;
          const sum = product(rounded, tensorsOf(layer).weight, inputs, gain);
          const bias = foldedBias(parameters, layer, shape);
          if (bias === null) return sum;
          // Two axes, because ONNX Runtime fuses a sum with a vector into GELU, and that operator is slower than both.
          return sum.add(parameters.tensor(bias.name, [1, outputs], bias.fold));
        },
      };
    },
  };
}
