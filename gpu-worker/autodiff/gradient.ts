/**
 * Reverse-mode automatic differentiation of a graph, into a graph: the nodes that lead from the parameters to the loss
 * are walked backwards, each operator's rule (rules.ts) says how the gradient goes on to its inputs, and what comes
 * together at a value is summed (cotangents.ts). The result is made of standard operators.
 */
import { GraphError, readsOf } from "../onnx/graph.ts";
import type { Graph, Node } from "../onnx/graph.ts";
import { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import { isFloat } from "../tensor/dtype.ts";
import { BackwardNode, zerosLike } from "./backward-node.ts";
import type { Walk } from "./backward-node.ts";
import { Cotangents } from "./cotangents.ts";
import { Recomputation } from "./recomputation.ts";
import { broadcasting, operatorOf, ruleOf, statisticsOf } from "./rules.ts";

export type GradientOptions = {
  /** Name of an output, a float of shape []. */
  readonly loss: string;
  /** Names of inputs, floats. */
  readonly parameters: readonly string[];
  /**
   * Values that are kept for the backward part, in the order in which they are computed; what lies between two of them
   * is computed again when it is needed. What comes before the first or after the last is kept. Each needs a size that
   * is known only at run time, or the runtime would undo it. Default: everything is kept.
   */
  readonly checkpoints?: readonly string[];
};

/** The output that holds the gradient by `parameter`. */
export function gradientName(parameter: string): string {
  return `${parameter}.grad`;
}

/**
 * `graph` with an output `NAME.grad` for each parameter, of its shape: zeros where the loss does not depend on it.
 * @throws GraphError for an operator without a rule on the way, and for names that are not what they should be
 */
export function gradient(graph: Graph, options: GradientOptions): Graph {
  const { loss, parameters, checkpoints = [] } = options;
  expectOptions(graph, options);
  const path = pathBetween(graph, parameters, loss);
  const nodes = graph.nodes.map((node) => (path.has(node) ? withStatistics(node) : node));
  const builder = GraphBuilder.from({ ...graph, nodes });
  const gradients = new Cotangents(builder);
  const again = new Recomputation(builder, nodes, checkpoints);
  const walk: Walk = {
    graph: builder,
    read: (name) => again.read(name),
    gradientOf: (name) => gradients.sumOf(name),
    scatterOf: (name) => gradients.scatterOf(name),
  };
  builder.scope("backward", () => {
    gradients.add(loss, builder.scalar(builder.value(loss).dtype, 1), false);
    const depends = dependents(graph, parameters);
    for (const [at, original] of [...graph.nodes.entries()].toReversed()) {
      const node = nodes[at];
      if (node === undefined || !path.has(original)) continue;
      for (const name of node.outputs) again.reach(name, () => gradients.sumOf(name));
      builder.scope(node.name, () => walkBack(node, walk, { gradients, depends }));
    }
  });
  for (const name of parameters) outputGradient(builder, name, gradients.sumOf(name));
  return builder.build();
}

type State = { readonly gradients: Cotangents; readonly depends: ReadonlySet<string> };

/** Adds what flows through `node` to the gradients of its inputs. */
function walkBack(node: Node, walk: Walk, { gradients, depends }: State): void {
  if (!node.outputs.some((name) => gradients.has(name))) return;
  const at = new BackwardNode(node, walk);
  const rules = ruleOf(node)(at);
  const broadcasts = broadcasting.has(operatorOf(node));
  for (const [index, name] of node.inputs.entries()) {
    if (!depends.has(name)) continue;
    const rule = rules[index];
    if (rule === undefined) at.fail(`it has no gradient by input ${index} ("${name}")`);
    else if (rule !== null) gradients.add(name, rule(), broadcasts);
  }
}

function outputGradient(builder: GraphBuilder, name: string, sum: Value | null): void {
  const value = sum ?? zerosLike(builder, builder.value(name));
  builder.output(gradientName(name), value);
}

/** Everything that is computed from the parameters, and they themselves. */
function dependents({ nodes }: Graph, parameters: readonly string[]): ReadonlySet<string> {
  const names = new Set(parameters);
  for (const node of nodes) {
    if (!readsOf(node).some((name) => names.has(name))) continue;
    for (const name of node.outputs) if (name !== "") names.add(name);
  }
  return names;
}

/** The nodes through which the loss depends on a parameter. */
function pathBetween(graph: Graph, parameters: readonly string[], loss: string): Set<Node> {
  const depends = dependents(graph, parameters);
  const wanted = new Set([loss]);
  const path = new Set<Node>();
  for (const node of graph.nodes.toReversed()) {
    const leads = node.outputs.some((name) => wanted.has(name) && depends.has(name));
    if (!leads) continue;
    path.add(node);
    for (const name of readsOf(node)) wanted.add(name);
  }
  return path;
}

/** A normalisation gives its rows' statistics too, which its rule reads. */
function withStatistics(node: Node): Node {
  const outputs = statisticsOf(node).map((label, at) => {
    const known = node.outputs[at + 1] ?? "";
    return known === "" ? `${node.outputs[0] ?? node.name}.${label}` : known;
  });
  const [first = "", ...rest] = node.outputs;
  const more = rest.slice(outputs.length);
  return outputs.length === 0 ? node : { ...node, outputs: [first, ...outputs, ...more] };
}

function expectOptions(graph: Graph, { loss, parameters }: GradientOptions): void {
  const output = graph.outputs.find(({ name }) => name === loss);
  if (output === undefined) throw new GraphError(`the loss "${loss}" is no output`);
  if (!isFloat(output.dtype) || output.shape.length > 0) {
    throw new GraphError(
      `the loss "${loss}" is ${output.dtype} [${output.shape.join(", ")}], not one float`,
    );
  }
  const inputs = new Map(graph.inputs.map((input) => [input.name, input]));
  for (const name of parameters) {
    const input = inputs.get(name);
    if (input === undefined) throw new GraphError(`the parameter "${name}" is no input`);
    if (!isFloat(input.dtype)) throw new GraphError(`the parameter "${name}" is ${input.dtype}`);
  }
  if (new Set(parameters).size < parameters.length) throw new GraphError("a parameter comes twice");
}
