/** A function whose module has Node strip the types of some hundred others first. */
import { writeDecoderGraph } from "../../gpu-worker/graphs/build-decoder.ts";
import { writeGraph } from "../../gpu-worker/graphs/build-graph.ts";

export function namesAfter(prefix: string): string {
  return [prefix, writeGraph.name, writeDecoderGraph.name].join(" ");
}
