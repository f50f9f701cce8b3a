/**
 * Operators that work element by element: arithmetic, functions of one value, comparisons, choice, casts, activations.
 */
import type { DType } from "../../tensor/dtype.ts";
import { dtypeOfCode } from "../../tensor/element-type.ts";
import type { Inferred, NodeView, Operator, OperatorRows } from "../operator.ts";
import { broadcastSymbolic, shapeText } from "../symbolic-shape.ts";
import type { SymbolicShape } from "../symbolic-shape.ts";

export const floats: readonly DType[] = ["float32", "float16", "bfloat16", "float64"];
const integers: readonly DType[] = [
  ...(["int64", "int32", "int16", "int8"] as const),
  ...(["uint64", "uint32", "uint16", "uint8"] as const),
];
export const numeric: readonly DType[] = [...floats, ...integers];
export const anything: readonly DType[] = [...numeric, "bool"];

/** Shape of all `inputs` broadcast together. */
export function broadcastInputs(node: NodeView, inputs: readonly Inferred[]): SymbolicShape {
  return inputs.reduce<SymbolicShape>(
    (shape, input) =>
      broadcastSymbolic(shape, input.shape) ??
      node.fail(`${shapeText(shape)} and ${shapeText(input.shape)} do not broadcast`),
    [],
  );
}

function unary(dtypes: readonly DType[], attributes: Operator["attributes"] = {}): Operator {
  return {
    inputs: [1, 1],
    attributes,
    infer: (node) => {
      const { dtype, shape } = node.expect(0, dtypes);
      return { dtype, shape };
    },
  };
}

/** Inputs of one dtype, broadcast; the result has that dtype, or `result`. */
function broadcasting(dtypes: readonly DType[], result?: DType, most = 2): Operator {
  return {
    inputs: [most === 2 ? 2 : 1, most],
    infer: (node) => {
      node.expect(0, dtypes);
      const dtype = node.expectOneDtype(node.inputs.map((_, index) => index));
      return { dtype: result ?? dtype, shape: broadcastInputs(node, node.inputs) };
    },
  };
}

/** What a division leaves: with the divisor's sign, or the dividend's where `fmod` is 1. */
const modulo: Operator = { ...broadcasting(numeric), attributes: { fmod: "int" } };

const power: Operator = {
  inputs: [2, 2],
  infer: (node) => {
    const { dtype } = node.expect(0, numeric);
    node.expect(1, numeric);
    return { dtype, shape: broadcastInputs(node, node.inputs) };
  },
};

const clip: Operator = {
  inputs: [1, 3],
  infer: (node) => {
    const { dtype, shape } = node.expect(0, numeric);
    node.expectOneDtype([0, 1, 2]);
    return { dtype, shape };
  },
};

const where: Operator = {
  inputs: [3, 3],
  infer: (node) => {
    node.expect(0, ["bool"]);
    const dtype = node.expectOneDtype([1, 2]);
    return { dtype, shape: broadcastInputs(node, node.inputs) };
  },
};

const cast: Operator = {
  inputs: [1, 1],
  attributes: { to: "int", saturate: "int" },
  infer: (node) => {
    const { shape, elements } = node.expect(0, anything);
    const code = node.int("to", 0);
    const dtype = dtypeOfCode(code) ?? node.fail(`casts to the unknown element type ${code}`);
    return integers.includes(dtype) && elements ? { dtype, shape, elements } : { dtype, shape };
  },
};

const biasGelu: Operator = {
  inputs: [2, 2],
  infer: (node) => {
    const { dtype, shape } = node.expect(0, floats);
    node.expectOneDtype([0, 1]);
    const bias = node.expectRank(1, 1).shape[0];
    if (bias !== shape.at(-1)) node.fail(`the bias has ${bias} elements, expected ${shape.at(-1)}`);
    return { dtype, shape };
  },
};

const fastGelu: Operator = { ...biasGelu, inputs: [1, 2], infer: unary(floats).infer };

export const elementwise = {
  Add: broadcasting(numeric),
  Sub: broadcasting(numeric),
  Mul: broadcasting(numeric),
  Div: broadcasting(numeric),
  Min: broadcasting(numeric, undefined, Infinity),
  Max: broadcasting(numeric, undefined, Infinity),
  Mod: modulo,
  Pow: power,
  Equal: broadcasting(anything, "bool"),
  Less: broadcasting(numeric, "bool"),
  LessOrEqual: broadcasting(numeric, "bool"),
  Greater: broadcasting(numeric, "bool"),
  GreaterOrEqual: broadcasting(numeric, "bool"),
  And: broadcasting(["bool"]),
  Or: broadcasting(["bool"]),
  Not: unary(["bool"]),
  Abs: unary(numeric),
  Neg: unary(numeric),
  Sign: unary(numeric),
  Ceil: unary(floats),
  Floor: unary(floats),
  Round: unary(floats),
  Reciprocal: unary(floats),
  Sqrt: unary(floats),
  Exp: unary(floats),
  Log: unary(floats),
  Sin: unary(floats),
  Cos: unary(floats),
  Erf: unary(floats),
  Relu: unary(numeric),
  Sigmoid: unary(floats),
  Tanh: unary(floats),
  Gelu: unary(floats, { approximate: "string" }),
  Identity: unary(anything),
  Clip: clip,
  Where: where,
  Cast: cast,
  "com.microsoft.Gelu": unary(floats),
  "com.microsoft.QuickGelu": unary(floats, { alpha: "float" }),
  "com.microsoft.BiasGelu": biasGelu,
  "com.microsoft.FastGelu": fastGelu,
} as const satisfies OperatorRows;
