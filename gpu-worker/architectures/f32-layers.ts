/**
 * Linear layers in float32. Measured on ONNX Runtime's CPU kernels, 2 threads: a product per head costs what one product
 * for all does and leaves the result [heads, tokens, width], so that attention needs no transposed copies of its inputs.
 */
import type { LayersOnInput, LinearLayers } from "./linear-layers.ts";
import type { Parameters } from "./parameters.ts";
import { splitHeads, transposeMatrix } from "./transpose-matrix.ts";

export function f32Layers(parameters: Parameters): LinearLayers {
  return {
    on: (x): LayersOnInput => ({
      dense: (name, { inputs, outputs, bias }) => {
        const weight = parameters.constant(`${name}.weight`, [inputs, outputs], (matrix) =>
          transposeMatrix(matrix, inputs),
        );
        return x.op("Gemm", [weight, parameters.constant(`${name}.bias`, [outputs], bias)]);
      },
      heads: (name, { inputs, outputs, heads, gain = 1 }) => {
        const shape = [heads, inputs, outputs / heads];
        const weight = parameters.constant(`${name}.weight`, shape, (matrix) =>
          splitHeads(matrix, inputs, heads).map((element) => element * gain),
        );
        return x.unsqueeze([0]).matMul(weight);
      },
    }),
  };
}
