/**
 * A graph as the bytes of an ONNX model. The protobuf library is loaded with the first model that is written: a worker
 * whose graphs are cached starts without it, some 30 ms sooner.
 */
import type { ExternalDataOf } from "./external-data.ts";
import type { Graph } from "./graph.ts";

/** As `encodeModelProto`. */
export async function encodeModel(
  graph: Graph,
  externalDataOf?: ExternalDataOf,
): Promise<Uint8Array> {
  const { encodeModelProto } = await import("./encode-model-proto.ts");
  return encodeModelProto(graph, externalDataOf);
}
