/** ONNX models of one product, `x · w` with constant weights, for the self-test and what is measured of a machine. */
import { encodeModel } from "../onnx/encode-model.ts";
import { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Tensor } from "../tensor/tensor.ts";

export type Product = {
  operator: "MatMul" | "MatMulInteger";
  /** `[inner, columns]` */
  weights: Tensor<"float32"> | Tensor<"int8">;
  /** `shape` gives only the result's shape: the product is computed, and nothing of it has to be copied. */
  output: "value" | "shape";
};

/** Reads `x` `[rows, inner]`, float32 or (MatMulInteger) uint8; gives `y` `[rows, columns]`, or its shape. */
export function encodeProduct({ operator, weights, output }: Product): Promise<Uint8Array> {
  const graph = new GraphBuilder("probe");
  const dtype = operator === "MatMulInteger" ? "uint8" : "float32";
  const x = graph.input("x", dtype, ["rows", weights.shape[0] ?? 0]);
  const product = x.op(operator, [graph.constant(weights, "w")]);
  graph.output("y", output === "shape" ? product.op("Shape") : product);
  return encodeModel(graph.build());
}
