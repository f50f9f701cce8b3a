/**
 * Linear layers in float32, of constants.
 */
import { foldedBias } from "./folded-bias.ts";
import { tensorsOf } from "./linear-layers.ts";
import type { LayersOnInput, LinearLayers } from "./linear-layers.ts";
import type { Parameters } from "./parameters.ts";
import { transposeMatrix } from "./transpose-matrix.ts";

export function f32Layers(parameters: Parameters): LinearLayers {
  return {
    on: (x): LayersOnInput => ({
      dense: (layer, shape) => {
        const { inputs, outputs, gain = 1 } = shape;
        const weight = parameters.tensor(tensorsOf(layer).weight, [inputs, outputs], (matrix) => {
          const transposed = transposeMatrix(matrix, inputs);
          return gain === 1 ? transposed : transposed.map((element) => element * gain);
        });
        const bias = foldedBias(parameters, layer, shape);
        if (bias === null) return x.matMul(weight);
        return x.op("Gemm", [weight, parameters.tensor(bias.name, [outputs], bias.fold)]);
      },
    }),
  };
}
