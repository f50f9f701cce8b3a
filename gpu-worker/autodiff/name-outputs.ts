/**
 * Outputs as the builder makes them are copies (Identity) of the values that they name. ONNX Runtime keeps a copy where
 * the value is read elsewhere too, as an optimizer's states are: here the value itself takes the output's name.
 */
import { readsOf } from "../onnx/graph.ts";
import type { Graph, Node } from "../onnx/graph.ts";

export function nameOutputs(graph: Graph): Graph {
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const computed = new Set(graph.nodes.flatMap((node) => node.outputs));
  // A graph within a node reads by name, and is not rewritten.
  const nested = new Set(graph.nodes.flatMap((node) => readsOf(node).slice(node.inputs.length)));
  const names = new Map<string, string>();
  const isCopy = ({ operator, inputs: [source = ""], outputs: [output = ""] }: Node) =>
    operator === "Identity" &&
    outputs.has(output) &&
    computed.has(source) &&
    !outputs.has(source) &&
    !nested.has(source) &&
    (names.get(source) ?? output) === output;
  const copies = new Set<Node>();
  for (const node of graph.nodes) {
    if (!isCopy(node)) continue;
    copies.add(node);
    names.set(node.inputs[0] ?? "", node.outputs[0] ?? "");
  }
  const named = (name: string) => names.get(name) ?? name;
  const nodes = graph.nodes
    .filter((node) => !copies.has(node))
    .map((node) => ({
      ...node,
      inputs: node.inputs.map(named),
      outputs: node.outputs.map(named),
    }));
  return { ...graph, nodes };
}
