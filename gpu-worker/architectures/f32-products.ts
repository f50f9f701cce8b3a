/** A decoder's products in float32. */
import type { Value } from "../onnx/value.ts";
import type { DecoderProducts, WordTable } from "./decoder-products.ts";
import type { Parameters } from "./parameters.ts";
import { biasOf, matrixOf } from "./projection-weights.ts";
import { transposeMatrix } from "./transpose-matrix.ts";

export function f32Products(parameters: Parameters): DecoderProducts {
  const { graph } = parameters;
  const tables = new Map<string, Value>();
  /** f32 [rows, columns], one for both uses of a table. */
  const tableOf = ({ name, rows, columns }: WordTable): Value => {
    const shape = [rows, columns];
    const table =
      tables.get(name) ??
      parameters.combined([{ name, shape }], shape, ([whole]) => whole ?? new Float32Array());
    tables.set(name, table);
    return table;
  };
  return {
    project: (x, projection) => {
      const { name, rows, columns, load } = matrixOf(parameters, projection);
      const weight = graph.initializer({
        name: graph.uniqueName(name),
        dtype: "float32",
        shape: [columns, rows],
        load: () => transposeMatrix(load(), columns),
      });
      const product = x.matMul(weight);
      return projection.bias ? product.add(biasOf(parameters, projection)) : product;
    },
    embed: (ids, table) => tableOf(table).gather(ids, 0),
    score: (x, table) => x.op("Gemm", [tableOf(table)], { transB: 1 }),
  };
}
