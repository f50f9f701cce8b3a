/**
 * Products of matrices: in floating point, in integers, and with weights in blocks of few bits.
 */
import type { Inferred, NodeView, Operator, OperatorRows } from "../operator.ts";
import { unknownDim, broadcastSymbolic, fits, multiplyDims, shapeText } from "../symbolic-shape.ts";
import type { Dim, SymbolicShape } from "../symbolic-shape.ts";
import { floats, numeric } from "./elementwise.ts";

/** Shape of the product of stacks of matrices, as numpy's matmul has it. */
function productShape(node: NodeView, a: SymbolicShape, b: SymbolicShape): SymbolicShape {
  const mismatch = (): never => node.fail(`${shapeText(a)} times ${shapeText(b)} does not fit`);
  if (a.length === 0 || b.length === 0) return mismatch();
  const left = a.length === 1 ? [1, ...a] : a;
  const right = b.length === 1 ? [...b, 1] : b;
  const rows = left.at(-2) ?? mismatch();
  const columns = right.at(-1) ?? mismatch();
  if (!fits(left.at(-1) ?? mismatch(), right.at(-2) ?? mismatch())) return mismatch();
  const stack = broadcastSymbolic(left.slice(0, -2), right.slice(0, -2)) ?? mismatch();
  return [...stack, ...(a.length === 1 ? [] : [rows]), ...(b.length === 1 ? [] : [columns])];
}

function swapLast(shape: SymbolicShape): SymbolicShape {
  return [...shape.slice(0, -2), ...shape.slice(-2).toReversed()];
}

const matMul: Operator = {
  inputs: [2, 2],
  infer: (node) => {
    node.expect(0, numeric);
    const dtype = node.expectOneDtype([0, 1]);
    return { dtype, shape: productShape(node, node.input(0).shape, node.input(1).shape) };
  },
};

const fusedMatMul: Operator = {
  inputs: [2, 2],
  attributes: { alpha: "float", transA: "int", transB: "int" },
  infer: (node) => {
    node.expect(0, floats);
    const dtype = node.expectOneDtype([0, 1]);
    const a = node.input(0).shape;
    const b = node.input(1).shape;
    const left = node.int("transA", 0) === 1 ? swapLast(a) : a;
    return {
      dtype,
      shape: productShape(node, left, node.int("transB", 0) === 1 ? swapLast(b) : b),
    };
  },
};

const gemm: Operator = {
  inputs: [2, 3],
  attributes: { alpha: "float", beta: "float", transA: "int", transB: "int" },
  infer: (node) => {
    node.expect(0, floats);
    const dtype = node.expectOneDtype([0, 1, 2]);
    const a = node.expectRank(0, 2).shape;
    const b = node.expectRank(1, 2).shape;
    const left = node.int("transA", 0) === 1 ? swapLast(a) : a;
    const shape = productShape(node, left, node.int("transB", 0) === 1 ? swapLast(b) : b);
    const bias = node.optional(2)?.shape ?? [];
    const sum = broadcastSymbolic(shape, bias);
    if (sum === null || sum.some((dim, axis) => !fits(dim, shape[axis] ?? 1))) {
      node.fail(`C ${shapeText(bias)} does not broadcast to ${shapeText(shape)}`);
    }
    return { dtype, shape };
  },
};

/** Length of an axis after a convolution; unknownDim where it is known only at run time and not kept. */
function convolvedLength(length: Dim, kernel: Dim, pads: number, stride: number): Dim {
  if (typeof kernel !== "number") return unknownDim;
  if (typeof length === "number") return Math.floor((length + pads - kernel) / stride) + 1;
  return pads === kernel - 1 && stride === 1 ? length : unknownDim;
}

/** x [batch, channels, …], weights [outputs, channels / group, …], bias [outputs]. */
const conv: Operator = {
  inputs: [2, 3],
  attributes: { group: "int", pads: "ints", strides: "ints" },
  infer: (node) => {
    const { shape } = node.expect(0, floats);
    const dtype = node.expectOneDtype([0, 1, 2]);
    const weight = node.expectRank(1, shape.length).shape;
    const [outputs = unknownDim, inputs = unknownDim, ...kernel] = weight;
    const channels = multiplyDims([inputs, node.int("group", 1)]);
    if (!fits(shape[1] ?? unknownDim, channels)) {
      node.fail(`the weights read ${channels} channels, the input has ${shape[1]}`);
    }
    const pads = node.ints("pads") ?? [];
    const strides = node.ints("strides") ?? [];
    const lengths = kernel.map((width, axis) => {
      const around = (pads[axis] ?? 0) + (pads[axis + kernel.length] ?? 0);
      return convolvedLength(shape[axis + 2] ?? unknownDim, width, around, strides[axis] ?? 1);
    });
    return { dtype, shape: [shape[0] ?? unknownDim, outputs, ...lengths] };
  },
};

/** Length of an axis of which a convolution of stride 1 would make `length`. */
function spreadLength(length: Dim, kernel: Dim, pads: number): Dim {
  if (typeof kernel !== "number") return unknownDim;
  if (typeof length === "number") return length + kernel - 1 - pads;
  return pads === kernel - 1 ? length : unknownDim;
}

/** The transpose of a convolution: x [batch, outputs, …], its weights [outputs, channels / group, …]. */
const convTranspose: Operator = {
  inputs: [2, 3],
  attributes: { group: "int", pads: "ints" },
  infer: (node) => {
    const { shape } = node.expect(0, floats);
    const dtype = node.expectOneDtype([0, 1, 2]);
    const [inputs = unknownDim, channels = unknownDim, ...kernel] = node.expectRank(
      1,
      shape.length,
    ).shape;
    if (!fits(shape[1] ?? unknownDim, inputs)) {
      node.fail(`the weights read ${inputs} channels, the input has ${shape[1]}`);
    }
    const pads = node.ints("pads") ?? [];
    const lengths = kernel.map((width, axis) => {
      const around = (pads[axis] ?? 0) + (pads[axis + kernel.length] ?? 0);
      return spreadLength(shape[axis + 2] ?? unknownDim, width, around);
    });
    const outputs = multiplyDims([channels, node.int("group", 1)]);
    return { dtype, shape: [shape[0] ?? unknownDim, outputs, ...lengths] };
  },
};

const bytes = ["int8", "uint8"] as const;

const matMulInteger: Operator = {
  inputs: [2, 4],
  infer: (node) => {
    const a = node.expect(0, bytes).shape;
    const b = node.expect(1, bytes).shape;
    if (node.optional(2) !== null) node.expectOneDtype([0, 2]);
    if (node.optional(3) !== null) node.expectOneDtype([1, 3]);
    return { dtype: "int32", shape: productShape(node, a, b) };
  },
};

/** A float product with integer inputs: float scales and biases follow the matrices. */
function scaledProduct(a: readonly ["float32"] | typeof bytes, floatsFrom: number): Operator {
  return {
    inputs: [3, 7],
    infer: (node) => {
      const left = node.expect(0, a).shape;
      const right = node.expect(1, bytes).shape;
      node.expect(floatsFrom, floats);
      return { dtype: "float32", shape: productShape(node, left, right) };
    },
  };
}

const matMulNBits: Operator = {
  inputs: [3, 6],
  attributes: { K: "int", N: "int", bits: "int", block_size: "int", accuracy_level: "int" },
  infer: (node): Inferred => {
    const { dtype, shape } = node.expect(0, floats);
    const depth: Dim = node.int("K", 0);
    if (!fits(shape.at(-1) ?? 0, depth)) node.fail(`K is ${depth}, the input has ${shape.at(-1)}`);
    return { dtype, shape: [...shape.slice(0, -1), node.int("N", 0)] };
  },
};

export const linear = {
  MatMul: matMul,
  Gemm: gemm,
  Conv: conv,
  ConvTranspose: convTranspose,
  MatMulInteger: matMulInteger,
  "com.microsoft.FusedMatMul": fusedMatMul,
  "com.microsoft.DynamicQuantizeMatMul": scaledProduct(["float32"], 2),
  "com.microsoft.MatMulIntegerToFloat": scaledProduct(bytes, 2),
  "com.microsoft.MatMulNBits": matMulNBits,
} as const satisfies OperatorRows;
