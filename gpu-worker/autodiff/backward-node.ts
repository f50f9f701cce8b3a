/**
 * One node as its rule sees it while the graph is walked backwards: what went in, what came out, and the gradient of
 * the loss by what came out. A rule says, for each input, how to make the gradient by it; only those are made that are
 * wanted.
 */
import type { Node } from "../onnx/graph.ts";
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import { NodeView } from "../onnx/operator.ts";
import type { SymbolicShape } from "../onnx/symbolic-shape.ts";
import type { Value } from "../onnx/value.ts";

/** A gradient that is zero but for some elements, which are added where they belong (a look-up's table is large). */
export type Scatter = {
  readonly updates: Value;
  readonly indices: Value;
  /** Of ScatterElements; null: as ScatterND reads the indices. */
  readonly axis: number | null;
};

/** A gradient need not have its input's shape: what was broadcast is summed, what was summed is broadcast. */
export type Contribution = Value | Scatter;

/** By input; null where none flows, as into an index. */
export type Rule = (at: BackwardNode) => readonly ((() => Contribution) | null)[];

export function isScatter(contribution: Contribution): contribution is Scatter {
  return "updates" in contribution;
}

/** What is read of the walk. */
export type Walk = {
  readonly graph: GraphBuilder;
  /** A value of the forward part, or the same computed again. */
  readonly read: (name: string) => Value;
  /** Of the loss by that value; null where it does not depend on it. */
  readonly gradientOf: (name: string) => Value | null;
  /** The same where it is nothing but one scatter. */
  readonly scatterOf: (name: string) => Scatter | null;
};

export class BackwardNode extends NodeView {
  readonly builder: GraphBuilder;
  readonly #walk: Walk;

  constructor(node: Node, walk: Walk) {
    super(
      node,
      node.inputs.map((name) => (name === "" ? null : walk.graph.value(name).type)),
    );
    this.builder = walk.graph;
    this.#walk = walk;
  }

  x(index = 0): Value {
    const name = this.node.inputs[index] ?? "";
    return name === "" ? this.fail(`input ${index} is missing`) : this.#walk.read(name);
  }

  y(index = 0): Value {
    return this.#walk.read(this.node.outputs[index] ?? this.fail(`it has no output ${index}`));
  }

  /** Zeros where the loss does not depend on that output. */
  dy(index = 0): Value {
    const name = this.node.outputs[index] ?? this.fail(`it has no output ${index}`);
    return this.#walk.gradientOf(name) ?? zerosLike(this.builder, this.y(index));
  }

  scatter(): Scatter | null {
    return this.#walk.scatterOf(this.node.outputs[0] ?? "");
  }

  get rank(): number {
    return this.input(0).shape.length;
  }
}

/** int64 [rank], known before the run where it can be. */
export function shapeOf(graph: GraphBuilder, value: Value): Value {
  const numbers = numbersOf(value.shape);
  return numbers === null ? value.op("Shape") : graph.integers(numbers);
}

export function zerosLike(graph: GraphBuilder, value: Value): Value {
  return graph.scalar(value.dtype, 0).op("Expand", [shapeOf(graph, value)]);
}

/** The elements of `value` in the shape of `like`. */
export function reshapeLike(graph: GraphBuilder, value: Value, like: Value): Value {
  const { shape } = like;
  const open = shape.filter((dim) => typeof dim !== "number");
  if (open.length > 1 || shape.includes(0)) return value.op("Reshape", [like.op("Shape")]);
  return value.op("Reshape", [
    graph.integers(shape.map((dim) => (typeof dim === "number" ? dim : -1))),
  ]);
}

function numbersOf(shape: SymbolicShape): number[] | null {
  const numbers = shape.filter((dim) => typeof dim === "number");
  return numbers.length === shape.length ? numbers : null;
}
