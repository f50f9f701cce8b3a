/**
 * Operators between real numbers and their 8-bit forms.
 */
import type { Operator, OperatorRows } from "../operator.ts";
import { multiplyDims, unknownDim } from "../symbolic-shape.ts";
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

/**
 * Inputs: steps [rows, columns · bits / 8] uint8, indices of rows, scales [rows, blocks]. Steps are taken from the
 * middle of their range.
 */
const gatherBlockQuantized: Operator = {
  inputs: [3, 3],
  attributes: { bits: "int", block_size: "int", gather_axis: "int", quantize_axis: "int" },
  infer: (node) => {
    node.expect(0, ["uint8"]);
    const [, bytesPerRow = unknownDim] = node.expectRank(0, 2).shape;
    const { dtype } = node.expect(2, floats);
    if (node.int("gather_axis", 0) !== 0 || node.int("quantize_axis", 1) !== 1) {
      node.fail("rows are gathered, and quantised along themselves");
    }
    const inByte = 8 / node.int("bits", 4);
    return { dtype, shape: [...node.input(1).shape, multiplyDims([bytesPerRow, inByte])] };
  },
};

export const quantisation = {
  "com.microsoft.GatherBlockQuantized": gatherBlockQuantized,
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: dequantizeLinear,
  DynamicQuantizeLinear: dynamicQuantizeLinear,
} as const satisfies OperatorRows;
