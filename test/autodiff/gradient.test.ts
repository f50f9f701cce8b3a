/** What gradients are asked for, and what is refused. */
import { describe, expect, it } from "vitest";
import { gradient } from "../../gpu-worker/autodiff/gradient.ts";
import type { GradientOptions } from "../../gpu-worker/autodiff/gradient.ts";
import { GraphError } from "../../gpu-worker/onnx/graph.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import type { Value } from "../../gpu-worker/onnx/value.ts";
import { verifyGraph } from "../../gpu-worker/onnx/verify-graph.ts";
import { float32, int64 } from "../../gpu-worker/tensor/tensor.ts";
import { runGraph } from "../onnx/run-graph.ts";
import references from "./made/references.json" with { type: "json" };

/** Σ of what `build` makes of a parameter x of that shape, beside parameters that it does not use. */
function lossOf(shape: readonly number[], build: (graph: GraphBuilder, x: Value) => Value): Graph {
  const graph = new GraphBuilder("loss");
  const x = graph.input("x", "float32", shape);
  const unused = graph.input("unused", "float32", [2, 3]);
  graph.input("ids", "int64", [2]);
  graph.output("doubled", unused.mul(2));
  const y = build(graph, x);
  const all = y.shape.map((_, axis) => axis);
  graph.output("loss", all.length === 0 ? y : y.sum(all, false));
  return graph.build();
}

const feeds = {
  x: float32([3], [1, 2, 3]),
  unused: float32([2, 3], [1, 2, 3, 4, 5, 6]),
  ids: int64([2], [0, 1]),
};

describe("gradient", () => {
  const squares = lossOf([3], (_, x) => x.mul(x));
  const wanted = { loss: "loss", parameters: ["x", "unused"] };

  it("adds an output for each parameter, zeros for one that the loss does not depend on", async () => {
    const graph = gradient(squares, wanted);
    expect(graph.outputs.map(({ name }) => name)).toEqual([
      "doubled",
      "loss",
      "x.grad",
      "unused.grad",
    ]);
    verifyGraph(graph);
    const results = await runGraph(graph, feeds);
    expect(results["loss"]?.data).toEqual([14]);
    expect(results["x.grad"]?.data).toEqual([2, 4, 6]);
    expect(results["unused.grad"]).toMatchObject({ shape: [2, 3], data: [0, 0, 0, 0, 0, 0] });
    expect(results["doubled"]?.data).toEqual([2, 4, 6, 8, 10, 12]);
  });

  it("gives a parameter that is the loss the gradient 1", async () => {
    const graph = new GraphBuilder("itself");
    graph.output("loss", graph.input("x", "float32", []).op("Identity"));
    const { "x.grad": found } = await runGraph(
      gradient(graph.build(), { loss: "loss", parameters: ["x"] }),
      { x: float32([], [5]) },
    );
    expect(found?.data).toEqual([1]);
  });

  it("walks back only what leads from a parameter to the loss", () => {
    // Of these no gradient is asked for, or none can flow: none has a rule, or needs one.
    const graph = lossOf([3], (builder, x) => {
      const fixed = builder.value("unused").op("Round").sum([0, 1], false);
      builder.output("beside", x.op("Ceil"));
      return x.mul(fixed).add(x.op("ArgMax", [], { axis: 0 }).cast("float32"));
    });
    const { nodes } = gradient(graph, { loss: "loss", parameters: ["x"] });
    const added = nodes.slice(graph.nodes.length).map(({ name }) => name);
    expect(added.some((name) => /Round|Ceil/.test(name))).toBe(false);
  });

  it("names the operator that has no rule, and its node", () => {
    const graph = lossOf([3], (builder, x) => builder.scope("layer.0", () => x.op("Ceil")));
    const attempt = () => gradient(graph, { loss: "loss", parameters: ["x"] });
    expect(attempt).toThrow(GraphError);
    expect(attempt).toThrow('"layer.0/Ceil": Ceil has no gradient');
  });

  it("refuses a loop that reads a parameter from outside, rather than missing its gradient", () => {
    const graph = lossOf([3], (builder, x) => {
      const flag = builder.input("flag", "bool", []);
      const branch = (label: string) =>
        builder.body(label, [], (inner) => [inner.outer(x).mul(inner.scalar("float32", 2))]);
      return builder.op("If", [flag], { then_branch: branch("a"), else_branch: branch("b") });
    });
    const attempt = () => gradient(graph, { loss: "loss", parameters: ["x"] });
    expect(attempt).toThrow("If has no gradient");
  });

  const wrong: readonly (readonly [GradientOptions, RegExp])[] = [
    [{ loss: "lost", parameters: ["x"] }, /the loss "lost" is no output/],
    [
      { loss: "doubled", parameters: ["x"] },
      /the loss "doubled" is float32 \[2, 3\], not one float/,
    ],
    [{ loss: "loss", parameters: ["y"] }, /the parameter "y" is no input/],
    [{ loss: "loss", parameters: ["ids"] }, /the parameter "ids" is int64/],
    [{ loss: "loss", parameters: ["x", "x"] }, /a parameter comes twice/],
    [{ ...wanted, checkpoints: ["x"] }, /the checkpoint "x" is not computed/],
    [{ ...wanted, checkpoints: ["Mul_1"] }, /"Mul_1" is \[3\] in every run/],
  ];
  it.each(wrong)("refuses %o", (options, message) => {
    const attempt = () => gradient(squares, options);
    expect(attempt).toThrow(GraphError);
    expect(attempt).toThrow(message);
  });
});

describe("at a corner the gradient is PyTorch's", () => {
  const inputs = [-1, 0, 0, 1, 1];
  const others = [0, 0, -1, 1, 2];
  const corners: Readonly<
    Record<
      keyof typeof references.corners,
      { a: number[]; b?: number[]; build: (graph: GraphBuilder, a: Value, b: Value) => Value }
    >
  > = {
    Relu: { a: inputs, build: (_, a) => a.op("Relu") },
    Abs: { a: inputs, build: (_, a) => a.op("Abs") },
    Max: { a: inputs, b: others, build: (_, a, b) => a.max(b) },
    Min: { a: inputs, b: others, build: (_, a, b) => a.op("Min", [b]) },
    Clip: {
      a: inputs,
      build: (graph, a) =>
        a.op(
          "Clip",
          [0, 1].map((bound) => graph.scalar("float32", bound)),
        ),
    },
    ReduceMax: { a: inputs, build: (_, a) => a.reduceMax([0], true) },
    ReduceMin: { a: [-1, -1, 0, -1], build: (_, a) => a.reduceMin([0], false) },
    ReduceL2: { a: [0, 0], build: (_, a) => a.l2([0], false) },
    Sqrt: { a: [0.25, 1], build: (_, a) => a.sqrt() },
    Pow: { a: [0, 2], build: (graph, a) => a.op("Pow", [graph.scalar("float32", 0)]) },
  };
  it.each(Object.entries(corners))("%s", async (name, { a, b = a, build }) => {
    const graph = new GraphBuilder("corner");
    const [left, right] = ["a", "b"].map((each) => graph.input(each, "float32", [a.length]));
    if (left === undefined || right === undefined) throw new Error("there are two");
    const y = build(graph, left, right);
    graph.output("loss", y.shape.length === 0 ? y : y.sum([0], false));
    const results = await runGraph(
      gradient(graph.build(), { loss: "loss", parameters: ["a", "b"] }),
      { a: float32([a.length], a), b: float32([b.length], b) },
    );
    const expected = Object.entries(references.corners).find(([each]) => each === name)?.[1];
    expect(results["a.grad"]?.data).toEqual(expected?.[0]);
    if (expected?.[1] !== undefined) expect(results["b.grad"]?.data).toEqual(expected[1]);
  });
});
