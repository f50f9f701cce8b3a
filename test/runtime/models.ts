/** Small models for the runtime's tests, built by our own builder. Results are known by arithmetic. */
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import type { Value } from "../../gpu-worker/onnx/value.ts";
import type { DType } from "../../gpu-worker/tensor/dtype.ts";
import { float32, tensor } from "../../gpu-worker/tensor/tensor.ts";

/** `double` = 2x and `sum` = x + x², for x `[rows, 3]` f32. */
export function arithmetic(): Uint8Array {
  const graph = new GraphBuilder("arithmetic");
  const x = graph.input("x", "float32", ["rows", 3]);
  graph.output("double", x.mul(2));
  graph.output("sum", x.add(x.mul(x)));
  return encodeModelProto(graph.build());
}

/** y = x, for x `[n]` of any element type. */
export function identity(dtype: DType): Uint8Array {
  const graph = new GraphBuilder("identity");
  graph.output("y", graph.input("x", dtype, ["n"]).op("Identity"));
  return encodeModelProto(graph.build());
}

/** y = x + 1, for a single number. */
export function successor(): Uint8Array {
  const graph = new GraphBuilder("successor");
  graph.output("y", graph.input("x", "float32", []).add(1));
  return encodeModelProto(graph.build());
}

/** `total` = x + state and `doubled` twice that, for both `[n]` f32. */
export function accumulator(): Uint8Array {
  const graph = new GraphBuilder("accumulator");
  const total = graph.input("x", "float32", ["n"]).add(graph.input("state", "float32", ["n"]));
  graph.output("total", total);
  graph.output("doubled", total.mul(2));
  return encodeModelProto(graph.build());
}

/** `total` = x + state, after `steps` products of x with the identity matrix, for both `[width, width]` f32. */
export function slowAccumulator(width: number, steps: number): Uint8Array {
  const graph = new GraphBuilder("slow-accumulator");
  let x = graph.input("x", "float32", ["rows", width]);
  const weights = identityMatrix(graph, width);
  for (let step = 0; step < steps; step++) x = x.matMul(weights);
  graph.output("total", x.add(graph.input("state", "float32", ["rows", width])));
  return encodeModelProto(graph.build());
}

function identityMatrix(graph: GraphBuilder, width: number): Value {
  const ones = Float32Array.from({ length: width * width }, (_, i) => (i % (width + 1) ? 0 : 1));
  return graph.constant(tensor("float32", [width, width], ones));
}

/** x times the identity matrix, `steps` times over, for x `[rows, width]` f32: y = x, and nothing can be left out. */
export function chain(width: number, steps: number): Uint8Array {
  return encodeModelProto(chainGraph(width, steps));
}

export function chainGraph(width: number, steps: number): Graph {
  const graph = new GraphBuilder("chain");
  const weights = identityMatrix(graph, width);
  let y = graph.input("x", "float32", ["rows", width]);
  for (let step = 0; step < steps; step++) y = y.matMul(weights);
  graph.output("y", y);
  return graph.build();
}

export function ramp(rows: number, width: number) {
  return float32(
    [rows, width],
    Float32Array.from({ length: rows * width }, (_, i) => i % 97),
  );
}
