/** Every row of the operator table against ONNX Runtime: what is inferred is what comes out. */
import { describe, expect, it } from "vitest";
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import { operators } from "../../gpu-worker/onnx/operators.ts";
import type { OperatorName } from "../../gpu-worker/onnx/operators.ts";
import { unknownDim } from "../../gpu-worker/onnx/symbolic-shape.ts";
import type { Dim } from "../../gpu-worker/onnx/symbolic-shape.ts";
import type { AttributeInputs, Input, Value } from "../../gpu-worker/onnx/value.ts";
import { tensor } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { numbers, runGraph } from "./run-graph.ts";

const sizes: Readonly<Record<string, number>> = { batch: 2, sequence: 3 };

type Example = {
  inputs: (at: Inputs) => readonly Input[];
  attributes?: AttributeInputs;
  outputs?: number;
};

/** Makes graph inputs with names for two of their sizes, and constants. */
class Inputs {
  readonly graph = new GraphBuilder("example");
  readonly feeds: Record<string, Tensor> = {};
  #count = 0;

  #input(value: Tensor, shape: readonly Dim[]): Value {
    const name = `input${this.#count++}`;
    this.feeds[name] = value;
    return this.graph.input(name, value.dtype, shape);
  }

  floats(...shape: Dim[]): Value {
    const known = shape.map(sizeOf);
    const data = numbers(count(known), this.#count + 1);
    return this.#input(tensor("float32", known, data), shape);
  }

  positives(...shape: Dim[]): Value {
    const known = shape.map(sizeOf);
    const data = numbers(count(known)).map((value) => Math.abs(value) + 0.5);
    return this.#input(tensor("float32", known, data), shape);
  }

  bools(...shape: Dim[]): Value {
    const known = shape.map(sizeOf);
    const data = Uint8Array.from(numbers(count(known)), (value) => (value > 0 ? 1 : 0));
    return this.#input(tensor("bool", known, data), shape);
  }

  bytes(...shape: Dim[]): Value {
    const known = shape.map(sizeOf);
    const data = Uint8Array.from(numbers(count(known)), (value) => 100 + value * 90);
    return this.#input(tensor("uint8", known, data), shape);
  }

  ids(values: readonly number[], ...shape: Dim[]): Value {
    const data = BigInt64Array.from(values, BigInt);
    return this.#input(tensor("int64", shape.map(sizeOf), data), shape);
  }

  lengths(values: readonly number[]): Value {
    return this.#input(tensor("int32", [values.length], Int32Array.from(values)), ["batch"]);
  }

  ints(...values: number[]): Value {
    return this.graph.integers(values);
  }

  vector(length: number): Value {
    return this.graph.constant(tensor("float32", [length], numbers(length, length)));
  }

  signed(...shape: number[]): Value {
    const data = Int8Array.from(numbers(count(shape)), (value) => value * 100);
    return this.graph.constant(tensor("int8", shape, data));
  }

  unsigned(...shape: number[]): Value {
    const data = Uint8Array.from(numbers(count(shape)), (value) => 128 + value * 100);
    return this.graph.constant(tensor("uint8", shape, data));
  }
}

function sizeOf(dim: Dim): number {
  return typeof dim === "number" ? dim : (sizes[dim] ?? Number.NaN);
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

const one = (at: Inputs) => [at.floats("batch", "sequence", 4)];
const positive = (at: Inputs) => [at.positives("batch", "sequence", 4)];
const two = (at: Inputs) => [at.floats("batch", "sequence", 4), at.positives("sequence", 1)];
const flags = (at: Inputs) => [at.bools("batch", 3), at.bools(3)];
const axes = (at: Inputs) => [at.floats("batch", "sequence", 4), at.ints(-1, 0)];

const examples: { readonly [O in OperatorName]: Example } = {
  Add: { inputs: two },
  Sub: { inputs: two },
  Mul: { inputs: two },
  Div: { inputs: two },
  Min: { inputs: (at) => [at.floats("batch", 4), at.floats(4), at.floats(1, 1)] },
  Max: { inputs: (at) => [at.floats("batch", 1), at.floats(5), at.floats()] },
  Mod: { inputs: (at) => [at.ids([7, -7], "batch"), at.ids([3], 1)] },
  Pow: { inputs: (at) => [at.positives("batch", 4), at.floats(4)] },
  Equal: { inputs: (at) => [at.ids([1, 2], "batch"), at.ids([2], 1)] },
  Less: { inputs: two },
  LessOrEqual: { inputs: two },
  Greater: { inputs: two },
  GreaterOrEqual: { inputs: two },
  And: { inputs: flags },
  Or: { inputs: flags },
  Not: { inputs: (at) => [at.bools("batch", 3)] },
  Abs: { inputs: one },
  Neg: { inputs: one },
  Sign: { inputs: one },
  Ceil: { inputs: one },
  Floor: { inputs: one },
  Round: { inputs: one },
  Reciprocal: { inputs: positive },
  Sqrt: { inputs: positive },
  Exp: { inputs: one },
  Log: { inputs: positive },
  Sin: { inputs: one },
  Cos: { inputs: one },
  Erf: { inputs: one },
  Relu: { inputs: one },
  Sigmoid: { inputs: one },
  Tanh: { inputs: one },
  Gelu: { inputs: one, attributes: { approximate: "tanh" } },
  Identity: { inputs: one },
  Clip: { inputs: (at) => [at.floats("batch", 4), null, at.graph.scalar("float32", 0.5)] },
  Where: { inputs: (at) => [at.bools("batch", 1), at.floats(1, 5), at.floats()] },
  Cast: { inputs: one, attributes: { to: 7 } },
  "com.microsoft.Gelu": { inputs: one },
  "com.microsoft.QuickGelu": { inputs: one, attributes: { alpha: 1.702 } },
  "com.microsoft.BiasGelu": { inputs: (at) => [...one(at), at.vector(4)] },
  "com.microsoft.FastGelu": { inputs: (at) => [...one(at), at.vector(4)] },
  MatMul: { inputs: (at) => [at.floats("batch", 1, "sequence", 4), at.floats(5, 4, 6)] },
  Gemm: {
    inputs: (at) => [at.floats(4, "batch"), at.floats(6, 4), at.vector(6)],
    attributes: { transA: 1, transB: 1, alpha: 2 },
  },
  Conv: {
    inputs: (at) => [at.floats("batch", 4, "sequence"), at.floats(6, 2, 3), at.vector(6)],
    attributes: { group: 2, pads: [1, 1] },
  },
  ConvTranspose: {
    inputs: (at) => [at.floats("batch", 6, "sequence"), at.floats(6, 2, 3), at.vector(4)],
    attributes: { group: 2, pads: [1, 1] },
  },
  MatMulInteger: {
    inputs: (at) => [at.bytes("batch", 4), at.signed(4, 6), at.graph.scalar("uint8", 128)],
  },
  "com.microsoft.FusedMatMul": {
    inputs: (at) => [at.floats("batch", 4, "sequence"), at.floats("batch", 5, 4)],
    attributes: { transA: 1, transB: 1, alpha: 0.5 },
  },
  "com.microsoft.DynamicQuantizeMatMul": {
    inputs: (at) => [at.floats("batch", 4), at.signed(4, 6), at.vector(6)],
  },
  "com.microsoft.MatMulIntegerToFloat": {
    inputs: (at) => [
      at.bytes("batch", 4),
      at.unsigned(4, 6),
      at.graph.scalar("float32", 0.5),
      at.vector(6),
      at.graph.scalar("uint8", 100),
      at.graph.scalar("uint8", 128),
    ],
  },
  "com.microsoft.GatherBlockQuantized": {
    inputs: (at) => [at.unsigned(6, 32), at.ints(5, 0, 2), at.floats(6, 1)],
    attributes: { bits: 8, block_size: 32 },
  },
  "com.microsoft.MatMulNBits": {
    inputs: (at) => [at.floats("batch", 32), at.unsigned(6, 1, 16), at.vector(6)],
    attributes: { K: 32, N: 6, bits: 4, block_size: 32 },
  },
  Shape: { inputs: one, attributes: { start: 1 } },
  Reshape: { inputs: (at) => [at.floats("batch", "sequence", 4), at.ints(0, -1, 2)] },
  Transpose: { inputs: one, attributes: { perm: [2, 0, 1] } },
  Unsqueeze: { inputs: (at) => [at.floats("batch", 4), at.ints(0, -1)] },
  Squeeze: { inputs: (at) => [at.floats("batch", 1, 4, 1), at.ints(1, -1)] },
  Concat: {
    inputs: (at) => [at.floats("batch", 2), at.floats("batch", 3)],
    attributes: { axis: -1 },
  },
  Split: {
    inputs: (at) => [at.floats("batch", 6), at.ints(1, 2, 3)],
    attributes: { axis: 1 },
    outputs: 3,
  },
  Slice: {
    inputs: (at) => [
      at.floats("batch", 6),
      at.ints(0, -2),
      at.ints(2 ** 40, 0),
      at.ints(0, 1),
      at.ints(1, -2),
    ],
  },
  Gather: {
    inputs: (at) => [at.floats(7, "batch"), at.ids([1, 6, -1], "sequence", 1)],
    attributes: { axis: 0 },
  },
  GatherND: {
    inputs: (at) => [at.floats("batch", "sequence", 4), at.ids([1, 2, 0, 0, 1, 1], 3, 2)],
  },
  ScatterElements: {
    inputs: (at) => [at.floats("batch", 4), at.ids([3, 3], "batch", 1), at.floats("batch", 1)],
    attributes: { axis: 1, reduction: "add" },
  },
  ScatterND: {
    inputs: (at) => [at.floats("batch", 4), at.ids([1], 1, 1), at.floats(1, 4)],
    attributes: { reduction: "add" },
  },
  Expand: { inputs: (at) => [at.floats("batch", 1), at.ints(3, 1, 4)] },
  Pad: { inputs: (at) => [at.floats("batch", 4), at.ints(1, 2), null, at.ints(1)] },
  Flatten: { inputs: one, attributes: { axis: 2 } },
  Range: {
    inputs: (at) => {
      const length = at.floats("batch", 4).op("Shape", [], { start: 0, end: 1 });
      return [at.graph.scalar("int64", 0), length.squeeze([0]), at.graph.scalar("int64", 1)];
    },
  },
  NonZero: { inputs: (at) => [at.bools("batch", 3)] },
  CumSum: { inputs: (at) => [at.floats("batch", 3), at.graph.scalar("int64", 1)] },
  ReduceSum: { inputs: axes },
  ReduceMean: { inputs: axes, attributes: { keepdims: 0 } },
  ReduceMax: { inputs: axes },
  ReduceMin: { inputs: one },
  ReduceL2: { inputs: axes },
  ReduceSumSquare: { inputs: axes },
  ArgMax: { inputs: one, attributes: { axis: -1, keepdims: 0 } },
  ArgMin: { inputs: one, attributes: { axis: 1 } },
  Softmax: { inputs: one, attributes: { axis: -1 } },
  LogSoftmax: { inputs: one, attributes: { axis: 1 } },
  LpNormalization: { inputs: one, attributes: { axis: -1, p: 2 } },
  LayerNormalization: {
    inputs: (at) => [...one(at), at.vector(4), at.vector(4)],
    attributes: { axis: -1, epsilon: 1e-5 },
    outputs: 3,
  },
  SimplifiedLayerNormalization: {
    inputs: (at) => [...one(at), at.vector(4)],
    attributes: { axis: -1, epsilon: 1e-5 },
  },
  "com.microsoft.SkipLayerNormalization": {
    inputs: (at) => [...one(at), ...one(at), at.vector(4), at.vector(4), at.vector(4)],
    attributes: { epsilon: 1e-5 },
  },
  "com.microsoft.SkipSimplifiedLayerNormalization": {
    inputs: (at) => [...one(at), ...one(at), at.vector(4)],
    attributes: { epsilon: 1e-5 },
  },
  QuantizeLinear: {
    inputs: (at) => [
      at.floats("batch", 4),
      at.graph.scalar("float32", 0.01),
      at.graph.scalar("int8", 3),
    ],
  },
  DequantizeLinear: {
    inputs: (at) => [at.bytes("batch", 4), at.vector(4), at.unsigned(4)],
    attributes: { axis: 1 },
  },
  DynamicQuantizeLinear: { inputs: one, outputs: 3 },
  "com.microsoft.GroupQueryAttention": {
    inputs: (at) => [
      at.floats("batch", 1, 4 * 16),
      null,
      null,
      ...[1, 2].map(() => at.floats("batch", 1, 5, 16)),
      at.lengths([4, 2]),
      at.graph.constant(tensor("int32", [], Int32Array.of(5))),
      ...[1, 2].map(() => at.floats(8, 8)),
    ],
    attributes: { num_heads: 2, kv_num_heads: 1, do_rotary: 1, local_window_size: 3, scale: 0.3 },
    outputs: 3,
  },
  "com.microsoft.RotaryEmbedding": {
    inputs: (at) => [
      at.floats("batch", "sequence", 2 * 8),
      at.ids([0, 1, 2, 3, 4, 5], "batch", "sequence"),
      ...[1, 2].map(() => at.floats(6, 4)),
    ],
    attributes: { num_heads: 2 },
  },
  "com.microsoft.MultiHeadAttention": {
    inputs: (at) => [
      ...[1, 2, 3].map(() => at.floats("batch", "sequence", 8)),
      at.vector(24),
      at.lengths([3, 2]),
    ],
    attributes: { num_heads: 2 },
  },
  GatherElements: {
    inputs: (at) => [at.floats("batch", 4), at.ids([3, 0, 1, 2, 2, 0], "batch", "sequence")],
    attributes: { axis: 1 },
  },
  If: {
    inputs: (at) => [at.bools()],
    attributes: { then_branch: branch(2, 3), else_branch: branch(5, 3) },
  },
  Loop: {
    inputs: (at) => [at.ids([4]), at.graph.scalar("bool", 1), at.floats("batch")],
    attributes: { body: turn() },
    outputs: 2,
  },
  Scan: {
    inputs: (at) => [at.floats("batch", 4), at.floats("batch", 4, 2)],
    attributes: { body: element(), num_scan_inputs: 2 },
    outputs: 2,
  },
};

/** A graph without inputs that gives f32 [rows, columns]. */
function branch(rows: number, columns: number) {
  return new GraphBuilder("branches").body(`of-${rows}`, [], (inner) => [
    inner.constant(tensor("float32", [rows, columns], numbers(rows * columns))).neg(),
  ]);
}

/** Carries a value of [batch] from turn to turn, and stacks it. */
function turn() {
  const given = [
    { dtype: "int64", shape: [] },
    { dtype: "bool", shape: [] },
    { dtype: "float32", shape: ["batch"] },
  ] as const;
  return new GraphBuilder("turns").body("turn", given, (_, [, again, carried]) => {
    if (again === undefined || carried === undefined) throw new TypeError("a turn has both");
    return [again.op("Identity"), carried.add(1), carried.mul(2)];
  });
}

/** Two results of an element of each of two inputs. */
function element() {
  const given = [
    { dtype: "float32", shape: [4] },
    { dtype: "float32", shape: [4, 2] },
  ] as const;
  return new GraphBuilder("elements").body("element", given, (_, [vector, matrix]) => {
    if (vector === undefined || matrix === undefined) throw new TypeError("an element has both");
    return [vector.unsqueeze([1]).add(matrix), vector.neg()];
  });
}

/** Whether a size depends on data. */
function isOpen(dim: Dim): boolean {
  return dim === unknownDim || String(dim).endsWith(":count");
}

/** What a shape stands for here; a size that depends on data can be any. */
function sizesOf(shape: readonly Dim[]): unknown[] {
  return shape.map((dim) => (isOpen(dim) ? expect.any(Number) : sizeOfProduct(dim)));
}

function sizeOfProduct(dim: Dim): number {
  const factors = String(dim).split("*");
  return factors.reduce((product, factor) => product * (sizes[factor] ?? Number(factor)), 1);
}

describe("each operator", () => {
  it.each(Object.entries(examples))("%s gives what is inferred", async (name, example) => {
    const at = new Inputs();
    const inputs = example.inputs(at);
    const operator = Object.keys(operators).find((key): key is OperatorName => key === name);
    if (operator === undefined) throw new Error(`${name} is not in the table`);
    const values = at.graph.ops(operator, inputs, example.attributes ?? {}, example.outputs ?? 1);
    for (const [index, value] of values.entries()) at.graph.output(`output${index}`, value);
    const results = await runGraph(at.graph.build(), at.feeds);
    for (const [index, { dtype, shape }] of values.entries()) {
      const result = results[`output${index}`];
      expect(result).toMatchObject({ dtype, shape: sizesOf(shape) });
    }
  });
});
