/**
 * Operators that fold an axis, or normalise along it: sums, extremes, softmax, layer normalisation.
 */
import type { DType } from "../../tensor/dtype.ts";
import type { Inferred, NodeView, Operator, OperatorRows } from "../operator.ts";
import { fits, shapeText, unknownDim } from "../symbolic-shape.ts";
import type { SymbolicShape } from "../symbolic-shape.ts";
import { floats, numeric } from "./elementwise.ts";

function folded(node: NodeView, shape: SymbolicShape, axes: readonly number[]): SymbolicShape {
  const gone = new Set(axes.map((axis) => node.axis(axis, shape.length)));
  const keep = node.int("keepdims", 1) === 1;
  return shape.flatMap((dim, axis) => (gone.has(axis) ? (keep ? [1] : []) : [dim]));
}

/** Axes come as the second input (opset 18); without it every axis is folded. */
function reduction(dtypes: readonly DType[]): Operator {
  return {
    inputs: [1, 2],
    attributes: { keepdims: "int", noop_with_empty_axes: "int" },
    infer: (node) => {
      const { dtype, shape } = node.expect(0, dtypes);
      const all = shape.map((_, axis) => axis);
      const chosen = node.optional(1) !== null && node.elements(1) === null;
      // Axes that are computed: whichever they are, they stay.
      if (chosen && node.int("keepdims", 1) === 1) {
        return { dtype, shape: shape.map((dim) => (dim === 1 ? 1 : unknownDim)) };
      }
      const axes = node.optional(1) === null ? all : node.numbers(1);
      return { dtype, shape: folded(node, shape, axes) };
    },
  };
}

const argument: Operator = {
  inputs: [1, 1],
  attributes: { axis: "int", keepdims: "int", select_last_index: "int" },
  infer: (node) => {
    const { shape } = node.expect(0, numeric);
    return { dtype: "int64", shape: folded(node, shape, [node.int("axis", 0)]) };
  },
};

const alongAxis: Operator = {
  inputs: [1, 1],
  attributes: { axis: "int", p: "int" },
  infer: (node) => {
    const { dtype, shape } = node.expect(0, floats);
    node.axis(node.int("axis", -1), shape.length);
    return { dtype, shape };
  },
};

const cumulativeSum: Operator = {
  inputs: [2, 2],
  attributes: { exclusive: "int", reverse: "int" },
  infer: (node) => {
    const { dtype, shape } = node.expect(0, numeric);
    for (const axis of node.elements(1) ?? []) node.axis(Number(axis), shape.length);
    return { dtype, shape };
  },
};

/** Refuses a scale or bias that is not as long as the last axis. */
function expectLength(node: NodeView, shape: SymbolicShape, indices: readonly number[]): void {
  for (const index of indices) {
    const vector = node.optional(index)?.shape ?? [shape.at(-1) ?? 1];
    if (vector.length !== 1 || !fits(vector[0] ?? 1, shape.at(-1) ?? 1)) {
      node.fail(`input ${index} ${shapeText(vector)} does not scale ${shapeText(shape)}`);
    }
  }
}

/** The statistics that follow the result: one per row. */
function rowStatistics(shape: SymbolicShape): Inferred {
  return { dtype: "float32", shape: [...shape.slice(0, -1), 1] };
}

function layerNormalization(inputs: readonly [number, number], statistics: number): Operator {
  return {
    inputs,
    outputs: [1, 1 + statistics],
    attributes: { axis: "int", epsilon: "float", stash_type: "int" },
    infer: (node) => {
      const { dtype, shape } = node.expect(0, floats);
      expectLength(node, shape, [1, 2]);
      const rows = Array.from({ length: statistics }, () => rowStatistics(shape));
      return [{ dtype, shape }, ...rows];
    },
  };
}

/** Outputs: result, mean, inverse deviation, the sum before normalisation. */
function skipLayerNormalization(vectors: readonly number[]): Operator {
  return {
    inputs: [3, 2 + vectors.length],
    outputs: [1, 4],
    attributes: { epsilon: "float" },
    infer: (node) => {
      const { dtype, shape } = node.expect(0, floats);
      node.expectOneDtype([0, 1, ...vectors]);
      const skip = node.input(1).shape;
      const alike = skip.length === shape.length && skip.every((d, i) => fits(d, shape[i] ?? 1));
      if (!alike) node.fail(`${shapeText(skip)} cannot be added to ${shapeText(shape)}`);
      expectLength(node, shape, vectors);
      return [{ dtype, shape }, rowStatistics(shape), rowStatistics(shape), { dtype, shape }];
    },
  };
}

export const reductions = {
  ReduceSum: reduction(numeric),
  ReduceMean: reduction(floats),
  ReduceMax: reduction(numeric),
  ReduceMin: reduction(numeric),
  ReduceL2: reduction(floats),
  ReduceSumSquare: reduction(floats),
  ArgMax: argument,
  ArgMin: argument,
  CumSum: cumulativeSum,
  Softmax: alongAxis,
  LogSoftmax: alongAxis,
  LpNormalization: alongAxis,
  LayerNormalization: layerNormalization([2, 3], 2),
  SimplifiedLayerNormalization: layerNormalization([2, 2], 1),
  "com.microsoft.SkipLayerNormalization": skipLayerNormalization([2, 3, 4]),
  "com.microsoft.SkipSimplifiedLayerNormalization": skipLayerNormalization([2, 3]),
} as const satisfies OperatorRows;
