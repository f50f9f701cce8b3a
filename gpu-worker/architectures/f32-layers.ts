/**
 * Linear layers in float32.
 */
import type { LayersOnInput, LinearLayers } from "./linear-layers.ts";
import type { Parameters } from "./parameters.ts";
import { transposeMatrix } from "./transpose-matrix.ts";

export function f32Layers(parameters: Parameters): LinearLayers {
  return {
    on: (x): LayersOnInput => ({
      dense: (name, { inputs, outputs, bias, gain = 1 }) => {
        const weight = parameters.constant(`${name}.weight`, [inputs, outputs], (matrix) => {
          const transposed = transposeMatrix(matrix, inputs);
          return gain === 1 ? transposed : transposed.map((element) => element * gain);
        });
        if (bias === null) return x.matMul(weight);
        return x.op("Gemm", [weight, parameters.constant(`${name}.bias`, [outputs], bias)]);
      },
    }),
  };
}
