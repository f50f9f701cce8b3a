/** Every rule against central differences, with the runtime's rewriting of the graph and without. */
import { describe, expect, it } from "vitest";
import type { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import type { OperatorName } from "../../gpu-worker/onnx/operators.ts";
import type { AttributeInputs, Value } from "../../gpu-worker/onnx/value.ts";
import { rules } from "../../gpu-worker/autodiff/rules.ts";
import { tensor } from "../../gpu-worker/tensor/tensor.ts";
import { compareGradients } from "./central-differences.ts";
import type { Case } from "./central-differences.ts";

type Build = Case["build"];

/** The operator on all parameters. */
function on(name: OperatorName, attributes: AttributeInputs = {}): Build {
  return (graph, { all }) => graph.op(name, all, attributes);
}

/** On the parameters, then on integers. */
function withIntegers(name: OperatorName, integers: readonly number[], more = {}): Build {
  return (graph, { all }) => graph.op(name, [...all, graph.integers(integers)], more);
}

function ids(graph: GraphBuilder, shape: readonly number[], values: readonly number[]): Value {
  return graph.constant(tensor("int64", shape, BigInt64Array.from(values, BigInt)));
}

const grid = ["batch", "sequence", 2] as const;
const one = { inputs: [grid] } as const;
const positive = { from: (x: number) => Math.abs(x) + 0.5, atZero: false } as const;
/** Broadcast both ways, one of them by an axis that is not there. */
const two = {
  inputs: [
    ["batch", 1, 3],
    [4, 1],
  ],
} as const;
const single = { dtype: "float32" } as const;
/** Has a corner at 0. */
const corner = { atZero: false } as const;
const reduced = (name: OperatorName): readonly Case[] => [
  { ...one, ...corner, build: withIntegers(name, [1]) },
  { ...one, ...corner, build: withIntegers(name, [-1, 0], { keepdims: 0 }) },
  { ...one, ...corner, build: on(name, { keepdims: 0 }) },
];
const reducedInSingle = (name: OperatorName) =>
  reduced(name).map((given) => ({ ...given, ...single }));
const reshaped = (name: OperatorName, integers: readonly number[]): readonly Case[] => [
  { inputs: [["batch", 1, "sequence", 2]], build: withIntegers(name, integers) },
];
const flags: readonly AttributeInputs[] = [
  { alpha: 0.5 },
  { transA: 1 },
  { transB: 1 },
  { transA: 1, transB: 1, alpha: 2 },
];
const padded = { group: 2, pads: [1, 1] };
const matrices = ({ transA, transB }: AttributeInputs) =>
  [transA === 1 ? [4, "batch"] : ["batch", 4], transB === 1 ? [3, 4] : [4, 3]] as const;

const cases: { readonly [R in keyof typeof rules]: readonly Case[] } = {
  Add: [
    { ...two, build: on("Add") },
    { inputs: [[3]], build: (_, { a }) => a.add(a) },
    // A bias, and sizes of which only the run knows whether they are 1.
    { inputs: [["batch", 3], [3]], build: (_, { a, b }) => a.mul(a).add(b) },
    {
      inputs: [
        [4, 3],
        [4, 3],
      ],
      build: (graph, { a, b }) => {
        const [start, axes] = [ids(graph, [1], [0]), ids(graph, [1], [0])];
        const end = a.op("Shape", [], { start: 0, end: 1 }).div(graph.scalar("int64", 4));
        return b.add(a.op("Slice", [start, end, axes]));
      },
    },
  ],
  Sub: [{ ...two, build: on("Sub") }],
  Mul: [
    { ...two, build: on("Mul") },
    { inputs: [[3]], build: (_, { a }) => a.mul(a) },
  ],
  Div: [{ ...two, ...positive, build: on("Div") }],
  Max: [{ inputs: [["batch", 3], [1, 3], []], ...corner, build: on("Max") }],
  Min: [{ ...two, ...corner, build: on("Min") }],
  Pow: [
    { ...one, build: (graph, { a }) => a.op("Pow", [graph.scalar("float64", 2)]) },
    { ...one, build: (graph, { a }) => a.op("Pow", [graph.scalar("float64", 0)]) },
    { ...one, ...positive, build: (graph, { a }) => a.op("Pow", [graph.scalar("float64", -0.5)]) },
  ],
  Clip: [
    {
      ...one,
      build: (graph, { a }) => {
        const [least, most] = [graph.scalar("float64", -0.51), graph.scalar("float64", 0.33)];
        const above = a.op("Clip", [least]);
        return a
          .op("Clip", [least, most])
          .add(above)
          .add(a.op("Clip", [null, most]));
      },
    },
  ],
  Where: [
    {
      inputs: [
        ["batch", 3],
        [1, 3],
      ],
      ...corner,
      build: (graph, { a, b }) => graph.op("Where", [a.op("Less", [b]), a.mul(a), b.mul(2)]),
    },
  ],
  Identity: [{ ...one, build: on("Identity") }],
  Cast: [
    { ...one, ...single, build: (_, { a }) => a.cast("float64").mul(2).cast("float32") },
    {
      ...one,
      from: (x) => Math.round(x * 3) / 3 + 0.1,
      build: (_, { a }) => a.mul(a.add(0.1).mul(9).cast("int64").cast("float64")),
    },
  ],
  Neg: [{ ...one, build: on("Neg") }],
  Abs: [{ ...one, ...corner, build: on("Abs") }],
  Sqrt: [{ ...one, ...positive, build: on("Sqrt") }],
  Reciprocal: [{ ...one, ...positive, build: on("Reciprocal") }],
  Exp: [{ ...one, build: on("Exp") }],
  Log: [{ ...one, ...positive, build: on("Log") }],
  Sin: [{ ...one, build: on("Sin") }],
  Cos: [{ ...one, build: on("Cos") }],
  Erf: [{ ...one, ...single, build: on("Erf") }],
  Relu: [{ ...one, ...corner, build: on("Relu") }],
  Tanh: [{ ...one, build: on("Tanh") }],
  Sigmoid: [{ ...one, build: on("Sigmoid") }],
  Gelu: [
    { ...one, ...single, build: on("Gelu") },
    // Far out, where exp(x²/2) has no end.
    { ...one, ...single, from: (x) => (x < 0 ? x - 20 : x + 20), build: on("Gelu") },
    { ...one, ...single, build: on("Gelu", { approximate: "tanh" }) },
  ],
  "com.microsoft.Gelu": [{ ...one, ...single, build: on("com.microsoft.Gelu") }],
  "com.microsoft.BiasGelu": [
    { inputs: [grid, [2]], ...single, build: on("com.microsoft.BiasGelu") },
  ],
  "com.microsoft.FastGelu": [
    { ...one, ...single, build: on("com.microsoft.FastGelu") },
    { inputs: [grid, [2]], ...single, build: on("com.microsoft.FastGelu") },
  ],
  "com.microsoft.QuickGelu": [
    { ...one, ...single, build: on("com.microsoft.QuickGelu", { alpha: 1.5 }) },
  ],
  MatMul: [
    [
      ["batch", 3, 4],
      [4, 2],
    ] as const,
    [
      ["batch", 1, 3, 4],
      [5, 4, 2],
    ] as const,
    [
      [3, 4],
      ["batch", 4, 2],
    ] as const,
    [[4], [4, 2]] as const,
    [[4], ["batch", 4, 2]] as const,
    [["batch", 3, 4], [4]] as const,
    [[4], [4]] as const,
  ].map((inputs) => ({ inputs, ...single, build: on("MatMul") })),
  "com.microsoft.FusedMatMul": flags.flatMap((attributes) =>
    [
      matrices(attributes),
      matrices(attributes).map((shape) => [2, ...shape]),
      [[2, ...matrices(attributes)[0]], matrices(attributes)[1]],
    ].map((inputs) => ({ inputs, ...single, build: on("com.microsoft.FusedMatMul", attributes) })),
  ),
  Gemm: flags.flatMap((attributes) =>
    [[3], ["batch", 1], [], [1, 3]].map((bias) => ({
      inputs: [...matrices(attributes), bias],
      build: on("Gemm", { ...attributes, beta: 0.5 }),
    })),
  ),
  Conv: [
    { inputs: [["batch", 4, "sequence"], [6, 2, 3], [6]], ...single, build: on("Conv", padded) },
    {
      inputs: [
        ["batch", 2, 5],
        [3, 2, 4],
      ],
      ...single,
      build: on("Conv", { pads: [2, 0] }),
    },
    { inputs: [[1, 2, 4, 3], [2, 2, 3, 2], [2]], ...single, build: on("Conv") },
  ],
  "com.microsoft.RotaryEmbedding": [
    {
      inputs: [["batch", "sequence", 2 * 8]],
      ...single,
      build: (graph, { a }) => {
        const angles = Array.from({ length: 6 * 4 }, (_, at) => at / 5);
        const table = (of: (angle: number) => number) =>
          graph.constant(tensor("float32", [6, 4], Float32Array.from(angles, of)));
        const positions = ids(graph, [2, 3], [0, 1, 2, 3, 4, 5]);
        const inputs = [positions, table(Math.cos), table(Math.sin)];
        return a.op("com.microsoft.RotaryEmbedding", inputs, { num_heads: 2 });
      },
    },
  ],
  Reshape: reshaped("Reshape", [0, -1]),
  Flatten: [{ ...one, build: on("Flatten", { axis: 2 }) }],
  Unsqueeze: reshaped("Unsqueeze", [1, -1]),
  Squeeze: [...reshaped("Squeeze", [1]), { inputs: [[2, 1, 3, 1]], build: on("Squeeze") }],
  Transpose: [
    { ...one, build: on("Transpose", { perm: [2, 0, 1] }) },
    { ...one, build: on("Transpose") },
  ],
  Concat: [
    {
      inputs: [
        [2, 3],
        [2, 1],
        [2, 2],
      ],
      build: on("Concat", { axis: 1 }),
    },
    {
      inputs: [
        ["batch", 2],
        ["sequence", 2],
      ],
      build: on("Concat", { axis: -2 }),
    },
  ],
  Split: [
    {
      inputs: [["batch", 6]],
      build: (graph, { a }) => {
        const [first, , third] = graph.ops(
          "Split",
          [a, graph.integers([1, 2, 3])],
          { axis: -1 },
          3,
        );
        return first && third ? third.mul(third).mul(first) : a;
      },
    },
  ],
  Slice: [
    { ...one, build: (_, { a }) => a.slice(1, 1, 3) },
    { ...one, build: (_, { a }) => a.slice(-2, -2, 2 ** 40) },
    { ...one, build: (_, { a }) => a.slice(1, -9, -1) },
    {
      inputs: [["batch", "sequence", 5]],
      build: (graph, { a }) => {
        const last = a.op("Shape", [], { start: 1, end: 2 }).sub(1);
        const starts = graph.op("Concat", [last, graph.integers([2])], { axis: 0 });
        const ends = graph.integers([2 ** 40, 4]);
        return a.op("Slice", [starts, ends, graph.integers([1, 2]), graph.integers([1, 1])]);
      },
    },
  ],
  Expand: [{ inputs: [["batch", 1]], build: withIntegers("Expand", [3, 1, 4]) }],
  Gather: [
    {
      inputs: [[5, 2]],
      ...single,
      build: (graph, { a }) => a.gather(ids(graph, [2, 2], [4, 0, 4, -1]), 0),
    },
    { ...one, build: (graph, { a }) => a.gather(ids(graph, [2], [1, 1]), 1) },
    { ...one, build: (graph, { a }) => a.gather(ids(graph, [], [1]), -1) },
    // A table that is read and multiplied by, as a decoder's is.
    {
      inputs: [[5, 2]],
      build: (graph, { a }) =>
        a.gather(ids(graph, [3], [4, 0, 4]), 0).op("Gemm", [a], { transB: 1 }),
    },
  ],
  GatherElements: [
    {
      inputs: [["batch", 4]],
      build: (graph, { a }) => {
        const indices = ids(graph, [2, 3], [3, 0, 3, 2, -1, 0]);
        return a.op("GatherElements", [indices], { axis: 1 });
      },
    },
  ],
  GatherND: [
    {
      inputs: [["batch", 3, 2]],
      build: (graph, { a }) => a.op("GatherND", [ids(graph, [3, 2], [1, 2, 0, 0, 1, 2])]),
    },
  ],
  ScatterND: (["add", "none"] as const).map((reduction) => ({
    inputs: [
      ["batch", 2],
      [1, 2],
    ],
    build: (graph, { a, b }) => a.op("ScatterND", [ids(graph, [1, 1], [1]), b], { reduction }),
  })),
  ReduceSum: [
    ...reduced("ReduceSum"),
    { ...one, build: withIntegers("ReduceSum", [], { noop_with_empty_axes: 1 }) },
  ],
  ReduceMean: reduced("ReduceMean"),
  ReduceSumSquare: reduced("ReduceSumSquare"),
  ReduceL2: reducedInSingle("ReduceL2"),
  ReduceMax: reduced("ReduceMax"),
  ReduceMin: reduced("ReduceMin"),
  CumSum: [0, 1].flatMap((exclusive) =>
    [0, 1].map((reverse): Case => ({
      ...one,
      build: (graph, { a }) => a.op("CumSum", [graph.scalar("int64", 1)], { exclusive, reverse }),
    })),
  ),
  Softmax: [
    { ...one, build: on("Softmax", { axis: -1 }) },
    { ...one, build: on("Softmax", { axis: 1 }) },
  ],
  LogSoftmax: [
    { ...one, build: on("LogSoftmax", { axis: 1 }) },
    // A loss: some elements are looked up.
    {
      inputs: [[2, 4]],
      build: (graph, { a }) =>
        a
          .op("LogSoftmax", [], { axis: -1 })
          .op("GatherElements", [ids(graph, [2, 1], [3, 0])], { axis: -1 }),
    },
    {
      inputs: [["batch", 4]],
      build: (graph, { a }) =>
        a
          .op("LogSoftmax", [], { axis: -1 })
          .op("GatherElements", [ids(graph, [1, 4], [1, 0, 0, 1])], { axis: 0 }),
    },
  ],
  LayerNormalization: [
    {
      inputs: [["batch", "sequence", 4], [4], [4]],
      ...single,
      build: on("LayerNormalization", { axis: -1, epsilon: 0.1 }),
    },
    { inputs: [["batch", 4], [4]], ...single, build: on("LayerNormalization", { epsilon: 0.1 }) },
  ],
  SimplifiedLayerNormalization: [
    {
      inputs: [["batch", 4], [4]],
      ...single,
      build: on("SimplifiedLayerNormalization", { axis: -1, epsilon: 0.1 }),
    },
  ],
};

const levels = ["all", "disabled"] as const;

describe("the gradient of", () => {
  it.each(Object.entries(cases))("%s", async (_, each) => {
    for (const [which, level] of each.flatMap((given) => levels.map((l) => [given, l] as const))) {
      for (const { name, found, expected, tolerance } of await compareGradients(which, level)) {
        expect(found, name).toHaveLength(expected.length);
        const errors = expected.map((value, at) => {
          return Math.abs((found[at] ?? Number.NaN) - value) / (1 + Math.abs(value));
        });
        expect(Math.max(...errors), `${name}, ${level}`).toBeLessThan(tolerance);
      }
    }
  });
});
