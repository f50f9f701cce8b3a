/** Small models for the runtime's tests, built by our own builder. Results are known by arithmetic. */
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
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

/** x times the identity matrix, `steps` times over, for x `[rows, width]` f32: y = x, and nothing can be left out. */
export function chain(width: number, steps: number): Uint8Array {
  return encodeModelProto(chainGraph(width, steps));
}

export function chainGraph(width: number, steps: number): Graph {
  const graph = new GraphBuilder("chain");
  const ones = Float32Array.from({ length: width * width }, (_, i) => (i % (width + 1) ? 0 : 1));
  const weights = graph.constant(tensor("float32", [width, width], ones));
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
