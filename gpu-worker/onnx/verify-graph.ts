/**
 * Checks a graph that did not come from the builder: names are defined once and before use, operators, attributes,
 * dtypes and shapes fit, outputs are what they claim. The same walk gives the type of every value.
 */
import { GraphError } from "./graph.ts";
import type { Graph, Initializer, NamedType } from "./graph.ts";
import { inferNode } from "./infer-node.ts";
import type { Inferred } from "./operator.ts";
import { fits, shapeText } from "./symbolic-shape.ts";

/** Longest constant whose elements inference follows, and whose equals the builder shares. */
export const smallElementsMax = 64;

/** What inference knows of a constant. */
export function initializerType({ dtype, shape, load }: Initializer): Inferred {
  const integral = (dtype === "int64" || dtype === "int32") && shape.length <= 1;
  if (!integral || (shape[0] ?? 1) > smallElementsMax) return { dtype, shape };
  return { dtype, shape, elements: Array.from(load(), Number) };
}

/** @throws GraphError where the output is not what it claims to be */
export function expectOutput(claimed: NamedType, actual: Inferred | undefined): void {
  const { name, dtype, shape } = claimed;
  if (actual === undefined) throw new GraphError(`output "${name}" is not defined`);
  const alike =
    actual.dtype === dtype &&
    actual.shape.length === shape.length &&
    shape.every((dim, axis) => fits(dim, actual.shape[axis] ?? 1));
  if (alike) return;
  const has = `${actual.dtype} ${shapeText(actual.shape)}`;
  throw new GraphError(`output "${name}" is ${has}, not ${dtype} ${shapeText(shape)}`);
}

/** Types of all values by name. Throws `GraphError` at the first thing that is wrong. */
export function verifyGraph(graph: Graph): ReadonlyMap<string, Inferred> {
  const types = new Map<string, Inferred>();
  const define = (name: string, type: Inferred) => {
    if (name === "") return;
    if (types.has(name)) throw new GraphError(`"${name}" is defined twice`);
    types.set(name, type);
  };
  for (const input of graph.inputs) define(input.name, input);
  for (const initializer of graph.initializers) {
    define(initializer.name, initializerType(initializer));
  }
  for (const node of graph.nodes) {
    const inferred = inferNode(node, (name) => types.get(name) ?? null);
    for (const [index, type] of inferred.entries()) define(node.outputs[index] ?? "", type);
  }
  for (const output of graph.outputs) expectOutput(output, types.get(output.name));
  return types;
}
