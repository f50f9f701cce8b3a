/**
 * The order in which the backward part comes to parameters. ONNX Runtime runs a graph depth first: an output is
 * computed with all it needs before the next one is begun. What reads the gradients in another order than this one has
 * all of them wait for the last, and every value that they are made of with them.
 */
import type { Graph } from "../../onnx/graph.ts";

/** `parameters`, those first that the forward part reads last. */
export function backwardOrder(graph: Graph, parameters: readonly string[]): string[] {
  const firstReads = new Map<string, number>();
  for (const [at, { inputs }] of graph.nodes.entries()) {
    for (const name of inputs) if (!firstReads.has(name)) firstReads.set(name, at);
  }
  const firstRead = (name: string) => firstReads.get(name) ?? 0;
  return parameters.toSorted((a, b) => firstRead(b) - firstRead(a));
}
