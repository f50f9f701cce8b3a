import { describe, expect, it } from "vitest";
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import { GraphError } from "../../gpu-worker/onnx/graph.ts";
import type { Graph, Node } from "../../gpu-worker/onnx/graph.ts";
import { verifyGraph } from "../../gpu-worker/onnx/verify-graph.ts";
import { float32, int64 } from "../../gpu-worker/tensor/tensor.ts";
import { runGraph } from "./run-graph.ts";

describe("building", () => {
  it("chains operators into what they compute", async () => {
    const graph = new GraphBuilder("chain");
    const x = graph.input("x", "float32", ["batch", 2]);
    const table = graph.constant(float32([2, 2], [0, 1, 1, 0]));
    graph.output("y", x.matMul(table).add(1).mul(x.max(0)).div(2).sub(0.5));
    const { y } = await runGraph(graph.build(), { x: float32([2, 2], [1, 2, -3, 4]) });
    expect(y?.data).toEqual([1, 1.5, -0.5, -4.5]);
  });

  it("follows sizes through shapes computed in the graph", () => {
    const graph = new GraphBuilder("sizes");
    const x = graph.input("x", "float32", ["batch", "sequence", 12]);
    const rows = x.reshape([-1, 12]);
    expect(rows.shape).toEqual(["batch*sequence", 12]);
    const parts = [
      graph.integers([3]),
      x.op("Shape", [], { start: 0, end: 2 }),
      graph.integers([4]),
    ];
    const shape = graph.op("Concat", parts, { axis: 0 });
    expect(rows.op("Reshape", [shape]).shape).toEqual([3, "batch", "sequence", 4]);
    expect(rows.reshape([-1, 3, 4]).transpose([1, 0, 2]).shape).toEqual([3, "batch*sequence", 4]);
  });

  it("keeps equal small constants once and names nodes after their scope", () => {
    const graph = new GraphBuilder("names");
    const x = graph.input("x", "float32", [1]);
    const y = graph.scope("block", () => x.add(2).add(2));
    graph.output("y", y);
    const { initializers, nodes } = graph.build();
    expect(initializers).toHaveLength(1);
    expect(nodes.map((node) => node.name)).toEqual(["block/Add", "block/Add_1", "y"]);
  });

  const wrong: readonly (readonly [string, (graph: GraphBuilder) => unknown, RegExp])[] = [
    ["shapes", (g) => g.input("x", "float32", [2]).add(g.input("y", "float32", [3])), /broadcast/],
    [
      "sizes",
      (g) => g.input("x", "float32", ["batch"]).add(g.input("y", "float32", ["b"])),
      /\[batch\] and \[b\]/,
    ],
    [
      "dtypes",
      (g) => g.input("x", "float32", [2]).add(g.input("y", "int64", [2])),
      /mix float32 and int64/,
    ],
    ["a dtype", (g) => g.input("x", "int64", [2]).sqrt(), /is int64, expected float32/],
    [
      "matrices",
      (g) => g.input("x", "float32", [2, 3]).matMul(g.input("y", "float32", [4, 2])),
      /does not fit/,
    ],
    ["a reshape", (g) => g.input("x", "float32", ["batch", 4]).reshape([3, -1]), /cannot become/],
    ["an axis", (g) => g.input("x", "float32", [2]).softmax(1), /axis 1 is outside/],
    [
      "a name",
      (g) => [g.input("x", "float32", [2]), g.input("x", "float32", [2])],
      /defined twice/,
    ],
    [
      "an attribute",
      (g) => g.input("x", "float32", [2]).op("Softmax", [], { axes: 1 }),
      /"axes" is not known/,
    ],
    [
      "its kind",
      (g) => g.input("x", "float32", [2]).op("Softmax", [], { axis: 0.5 }),
      /0.5 is no int/,
    ],
    [
      "too few inputs",
      (g) => g.op("Add", [g.input("x", "float32", [2])]),
      /1 inputs, the operator has 2/,
    ],
    [
      "width of heads",
      (g) => {
        const past = g.input("past", "float32", ["batch", 1, "past", 12]);
        const [lengths, total] = [g.input("n", "int32", ["batch"]), g.input("t", "int32", [])];
        const query = g.input("x", "float32", ["batch", 1, 48]);
        const inputs = [query, null, null, past, past, lengths, total];
        const heads = { num_heads: 2, kv_num_heads: 1 };
        return g.op("com.microsoft.GroupQueryAttention", inputs, heads);
      },
      /48 does not divide into 4 heads of a multiple of 8/,
    ],
    ["no output", (g) => g.build(), /has no output/],
    [
      "another graph's value",
      (g) => g.output("y", new GraphBuilder("b").input("x", "float32", [])),
      /another graph/,
    ],
  ];
  it.each(wrong)("refuses wrong %s where it is written", (_, build, message) => {
    const attempt = () => build(new GraphBuilder("wrong"));
    expect(attempt).toThrow(GraphError);
    expect(attempt).toThrow(message);
  });
});

function given(): Graph {
  const graph = new GraphBuilder("given", { form: "f32" });
  const x = graph.input("x", "float32", ["batch", 2]);
  const weight = graph.constant(float32([2, 2], [0, 1, 1, 0]), "weight");
  const flag = graph.input("flag", "bool", []);
  const body = (label: string, factor: number) =>
    graph.body(label, [], (inner) => [inner.outer(x).mul(inner.scalar("float32", factor))]);
  const chosen = graph.op("If", [flag], {
    then_branch: body("then", 2),
    else_branch: body("else", 3),
  });
  graph.output("y", chosen.matMul(weight));
  return graph.build();
}

describe("going on from a graph", () => {
  const feeds = {
    x: float32([1, 2], [1, 2]),
    flag: { dtype: "bool", shape: [], data: Uint8Array.of(1) },
  } as const;

  it("keeps what is there, byte for byte", () => {
    expect(encodeModelProto(GraphBuilder.from(given()).build())).toEqual(encodeModelProto(given()));
  });

  it("adds to it, under names that are free, in graphs within it too", async () => {
    const builder = GraphBuilder.from(given());
    const again = builder.body("then", [], (inner) => [inner.outer(builder.value("x")).neg()]);
    const either = { then_branch: again, else_branch: again };
    builder.output("z", builder.op("If", [builder.value("flag")], either));
    builder.output("w", builder.value("y").matMul(builder.value("weight")));
    const graph = builder.build();
    const { y, z, w } = await runGraph(graph, feeds);
    expect([y?.data, z?.data, w?.data]).toEqual([
      [4, 2],
      [-1, -2],
      [2, 4],
    ]);
    const inside = graph.nodes.flatMap(({ attributes }) =>
      Object.values(attributes).flatMap((each) => (each.kind === "graph" ? [each.value.name] : [])),
    );
    expect(inside).toEqual(["then", "else", "then_1", "then_1"]);
    expect(() => builder.value("v")).toThrow('nothing is named "v"');
  });

  it.each([
    [{ opsets: { "": 17 } }, /uses version 17 of the standard operators, the builder version 21/],
    [{ opsets: { "": 21, "ai.onnx.ml": 3 } }, /version 3 of ai.onnx.ml, the builder none/],
    [{ outputs: [{ name: "v", dtype: "float32", shape: [] }] }, /"v" is not defined/],
    [{ inputs: [] }, /nothing is named "flag"/],
  ] as const)("refuses one that is wrong: %o", (change, message) => {
    const attempt = () => GraphBuilder.from({ ...given(), ...change });
    expect(attempt).toThrow(GraphError);
    expect(attempt).toThrow(message);
  });
});

function graphOf(node: Partial<Node>): Graph {
  return {
    name: "g",
    inputs: [{ name: "x", dtype: "float32", shape: ["batch", 2] }],
    outputs: [{ name: "y", dtype: "float32", shape: ["batch", 2] }],
    initializers: [{ name: "ids", dtype: "int64", shape: [1], load: () => int64([1], [0]).data }],
    nodes: [
      {
        name: "n",
        domain: "",
        operator: "Neg",
        inputs: ["x"],
        outputs: ["y"],
        attributes: {},
        ...node,
      },
    ],
    opsets: { "": 20 },
    metadata: {},
  };
}

describe("verifying", () => {
  it("passes a graph that is right", () => {
    expect(verifyGraph(graphOf({})).get("y")).toEqual({ dtype: "float32", shape: ["batch", 2] });
  });

  const wrong: readonly (readonly [string, Partial<Node>, RegExp])[] = [
    ["an undefined name", { inputs: ["z"] }, /Neg "n": nothing is named "z" before it/],
    ["an output defined twice", { outputs: ["x"] }, /"x" is defined twice/],
    ["an unknown operator", { operator: "Negate" }, /no operator Negate in the standard/],
    ["an unknown domain", { domain: "else.where" }, /no operator Neg in else.where/],
    ["a dtype that does not fit", { operator: "Sqrt", inputs: ["ids"] }, /is int64/],
    ["an output of another shape", { operator: "Transpose" }, /is float32 \[2, batch\], not/],
    ["an output nothing makes", { outputs: ["other"] }, /output "y" is not defined/],
    [
      "an attribute of another kind",
      { operator: "Softmax", attributes: { axis: { kind: "float", value: 1 } } },
      /is float, expected int/,
    ],
  ];
  it.each(wrong)("names %s", (_, node, message) => {
    expect(() => verifyGraph(graphOf(node))).toThrow(GraphError);
    expect(() => verifyGraph(graphOf(node))).toThrow(message);
  });
});
