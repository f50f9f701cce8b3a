/**
 * Whether this processor adds pairs of u8·s8 products in 16 bits, so that 255·127·2 comes out wrong.
 */
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import { tensor } from "../../gpu-worker/tensor/tensor.ts";
import { runGraph } from "../onnx/run-graph.ts";

export async function machineSaturates(): Promise<boolean> {
  const graph = new GraphBuilder("probe");
  const x = graph.input("x", "uint8", [4, 64]);
  const weights = graph.constant(tensor("int8", [64, 32], new Int8Array(64 * 32).fill(127)));
  graph.output("y", x.op("MatMulInteger", [weights]));
  const feeds = { x: tensor("uint8", [4, 64], new Uint8Array(4 * 64).fill(255)) };
  const { y } = await runGraph(graph.build(), feeds);
  return y?.data.some((sum) => sum !== 64 * 255 * 127) ?? true;
}
