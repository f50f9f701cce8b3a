/**
 * Gradient accumulation: batches that do not fit at once are computed in parts, each adding its gradients to a sum, and
 * a graph of its own applies the sum.
 */
import { GraphError } from "../../onnx/graph.ts";
import type { Graph } from "../../onnx/graph.ts";
import { GraphBuilder } from "../../onnx/graph-builder.ts";
import { gradientName } from "../gradient.ts";
import { nameOutputs } from "../name-outputs.ts";
import { backwardOrder } from "./backward-order.ts";
import { nextName } from "./update-parameters.ts";

/** Name of the sum of a parameter's gradients. */
export function gradientSumName(parameter: string): string {
  return `${parameter}.grad_sum`;
}

/**
 * `NAME.grad_sum.next` in place of `NAME.grad`, to be bound in place onto the added input `NAME.grad_sum`: the sum
 * before, or 0 where the added input `first` (bool []) says that a new sum begins, and the gradient times the added
 * input `weight` (f32 []), this part's share of the batch.
 * @throws GraphError where a parameter has no gradient
 */
export function accumulateGradients(graph: Graph, parameters: readonly string[]): Graph {
  const gradients = new Set(parameters.map(gradientName));
  const outputs = graph.outputs.filter(({ name }) => !gradients.has(name));
  if (graph.outputs.length - outputs.length < parameters.length) {
    throw new GraphError("a parameter has no gradient");
  }
  const builder = GraphBuilder.from({ ...graph, outputs });
  const first = builder.input("first", "bool", []);
  const weight = builder.input("weight", "float32", []);
  // The runtime begins with what was added last.
  for (const name of backwardOrder(graph, parameters).toReversed()) {
    const gradient = builder.value(gradientName(name));
    const before = builder.input(gradientSumName(name), gradient.dtype, gradient.shape);
    const kept = builder.op("Where", [first, builder.scalar(gradient.dtype, 0), before]);
    builder.output(nextName(gradientSumName(name)), kept.add(gradient.mul(weight)));
  }
  return nameOutputs(builder.build());
}

/** The graph whose `NAME.grad` is the sum: for an optimizer to go on from. `shapes` are those of the parameters. */
export function accumulatedGradients(shapes: ReadonlyMap<string, readonly number[]>): Graph {
  const graph = new GraphBuilder("apply");
  for (const [name, shape] of shapes) {
    graph.input(name, "float32", shape);
    graph.output(gradientName(name), graph.input(gradientSumName(name), "float32", shape));
  }
  return graph.build();
}
