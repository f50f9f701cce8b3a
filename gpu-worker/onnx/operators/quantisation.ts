/**
 * Operators between real numbers and their 8-bit forms.
 */
import type { Operator, OperatorRows } from "../operator.ts";
import { floats } from "./elementwise.ts";

const bytes = ["int8", "uint8"] as const;

const quantizeLinear: Operator = {
  inputs: [2, 3],
  attributes: { axis: "int", block_size: "int", output_dtype: "int", saturate: "int" },
  infer: (node) => {
    const { shape } = node.expect(0, floats);
    node.expectOneDtype([0, 1]);
    return { dtype: node.optional(2)?.dtype ?? "uint8", shape };
  },
};

const dequantizeLinear: Operator = {
  inputs: [2, 3],
  attributes: { axis: "int", block_size: "int" },
  infer: (node) => {
    const { shape } = node.expect(0, [...bytes, "int32"]);
    if (node.optional(2) !== null) node.expectOneDtype([0, 2]);
    return { dtype: node.expect(1, floats).dtype, shape };
  },
};

const dynamicQuantizeLinear: Operator = {
  inputs: [1, 1],
  outputs: [3, 3],
  infer: (node) => [
    { dtype: "uint8", shape: node.expect(0, ["float32"]).shape },
    { dtype: "float32", shape: [] },
    { dtype: "uint8", shape: [] },
  ],
};

export const quantisation = {
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: dequantizeLinear,
  DynamicQuantizeLinear: dynamicQuantizeLinear,
} as const satisfies OperatorRows;
