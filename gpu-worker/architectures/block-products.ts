/**
 * A decoder's products with weights in blocks of 32 (MatMulNBits of ONNX Runtime), which rounds what it multiplies to 8
 * bits in blocks of 32 too, each token by itself, and adds integers. What one large value spoils stays within a block:
 * a scale for each row and each token lost 15 times as much on SmolLM2's reference texts.
 *
 * 4-bit blocks of a checkpoint are computed as they are stored. The operator takes their least values as integers alone
 * (with real ones it is 30 times slower), so what is left of them is a product by itself, 32 times narrower: of the
 * blocks' sums with their shifts.
 */
import type { Value } from "../onnx/value.ts";
import { blockElements, blocksPerRow } from "../weights/block-matrix.ts";
import { projectionWeights, roundedLoads, roundedWeights } from "./block-weights.ts";
import type { BlockWeights, MatrixSize } from "./block-weights.ts";
import type { DecoderProducts, WordTable } from "./decoder-products.ts";
import type { Parameters } from "./parameters.ts";
import { biasOf, matrixOf } from "./projection-weights.ts";

/** What it multiplies is rounded to 8 bits. */
const accuracyLevel = 4;

/** Of each block of a row, [batch, sequence, blocks]. With few rows a product with ones takes longer than the sums. */
function blockSums(x: Value, columns: number): Value {
  return x.reshape([0, 0, columns / blockElements, blockElements]).sum([-1], false);
}

function times(x: Value, size: MatrixSize, weights: BlockWeights, bias: Value | null): Value {
  const { rows: N, columns: K } = size;
  const { bits, steps, scales, middles, shifts } = weights;
  const attributes = { K, N, bits, block_size: blockElements, accuracy_level: accuracyLevel };
  const inputs = [steps, scales, middles, null, bias];
  const product = x.op("com.microsoft.MatMulNBits", inputs, attributes);
  return shifts === null ? product : product.add(blockSums(x, K).matMul(shifts));
}

export type BlockOptions = {
  /** Whether weights that are stored in 4-bit blocks stay so; all others take 8 bits. */
  readonly keepsNibbles: boolean;
};

export function blockProducts(
  parameters: Parameters,
  { keepsNibbles }: BlockOptions,
): DecoderProducts {
  const { graph } = parameters;
  const readerOf = ({ name, rows, columns }: WordTable) => {
    const read = parameters.reader([{ name, shape: [rows, columns] }]);
    return () => read()[0] ?? new Float32Array();
  };

  return {
    project: (x, projection) => {
      const matrix = matrixOf(parameters, projection);
      const weights = projectionWeights(parameters, matrix, keepsNibbles);
      return times(x, matrix, weights, projection.bias ? biasOf(parameters, projection) : null);
    },
    embed: (ids, table) => {
      const { rows, columns } = table;
      const name = graph.uniqueName(table.name);
      const blocks = blocksPerRow(columns);
      const width = blocks * blockElements;
      const loads = roundedLoads({ columns, load: readerOf(table) });
      const steps = graph.initializer({
        name,
        dtype: "uint8",
        shape: [rows, width],
        load: loads.steps,
      });
      const scales = graph.initializer({
        name: `${name}.scales`,
        dtype: "float32",
        shape: [rows, blocks],
        load: loads.scales,
      });
      const attributes = { bits: 8, block_size: blockElements, quantize_axis: 1 };
      const gathered = steps.op("com.microsoft.GatherBlockQuantized", [ids, scales], attributes);
      return width === columns ? gathered : gathered.slice(-1, 0, columns);
    },
    score: (x, table) => times(x, table, roundedWeights(graph, table, readerOf(table)), null),
  };
}
