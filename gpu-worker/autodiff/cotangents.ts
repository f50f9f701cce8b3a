/**
 * The gradients of the loss by each value while they are summed: the one place that adds them up, sums over what was
 * broadcast, and broadcasts what was summed.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import { unknownDim } from "../onnx/symbolic-shape.ts";
import type { Value } from "../onnx/value.ts";
import { isScatter, shapeOf, zerosLike } from "./backward-node.ts";
import type { Contribution, Scatter } from "./backward-node.ts";

export class Cotangents {
  readonly #graph: GraphBuilder;
  readonly #dense = new Map<string, Value>();
  readonly #scattered = new Map<string, Scatter[]>();
  readonly #whole = new Map<string, Value>();

  constructor(graph: GraphBuilder) {
    this.#graph = graph;
  }

  /** @param broadcasts whether the node that `contribution` comes from may have broadcast the value */
  add(name: string, contribution: Contribution, broadcasts: boolean): void {
    if (isScatter(contribution)) {
      this.#scattered.set(name, [...(this.#scattered.get(name) ?? []), contribution]);
      return;
    }
    const value = this.#graph.value(name);
    const summed = sumTo(this.#graph, contribution, { value, broadcasts });
    const before = this.#dense.get(name);
    this.#dense.set(name, before === undefined ? summed : before.add(summed));
  }

  has(name: string): boolean {
    return this.#dense.has(name) || this.#scattered.has(name);
  }

  /** What was added, where it is one scatter. */
  scatterOf(name: string): Scatter | null {
    const [first, ...others] = this.#scattered.get(name) ?? [];
    const alone = others.length === 0 && !this.#dense.has(name);
    return alone ? (first ?? null) : null;
  }

  /** The sum, of the value's shape, once everything is added; null where nothing was. */
  sumOf(name: string): Value | null {
    if (!this.has(name)) return null;
    const known = this.#whole.get(name);
    if (known !== undefined) return known;
    const value = this.#graph.value(name);
    const dense = this.#dense.get(name);
    const start =
      dense === undefined ? zerosLike(this.#graph, value) : expandTo(this.#graph, dense, value);
    const sum = (this.#scattered.get(name) ?? []).reduce(scatterOnto, start);
    this.#whole.set(name, sum);
    return sum;
  }
}

export function scatterOnto(base: Value, { indices, updates, axis }: Scatter): Value {
  return axis === null
    ? base.op("ScatterND", [indices, updates], { reduction: "add" })
    : base.op("ScatterElements", [indices, updates], { axis, reduction: "add" });
}

function expandTo(graph: GraphBuilder, gradient: Value, value: Value): Value {
  const { shape } = value;
  const smaller =
    gradient.shape.length < shape.length ||
    gradient.shape.some((dim, axis) => dim === 1 && shape[axis] !== 1);
  return smaller ? gradient.op("Expand", [shapeOf(graph, value)]) : gradient;
}

type Target = { readonly value: Value; readonly broadcasts: boolean };

/** Sums `gradient` over the axes along which `value` was repeated. */
function sumTo(graph: GraphBuilder, gradient: Value, { value, broadcasts }: Target): Value {
  const { shape } = value;
  const added = Math.max(gradient.shape.length - shape.length, 0);
  const leading = Array.from({ length: added }, (_, axis) => axis);
  const missing = shape.length - gradient.shape.length + added;
  const repeated = shape
    .map((dim, axis) => ({ dim, axis: axis + added - missing }))
    .filter(({ dim, axis }) => axis >= added && dim === 1 && gradient.shape[axis] !== 1)
    .map(({ axis }) => axis);
  let sum = gradient;
  if (repeated.length > 0) sum = sum.sum(repeated, true);
  if (leading.length > 0) sum = sum.sum(leading, false);
  const unsure = shape.some((dim, axis) => dim === unknownDim && sum.shape[axis - missing] !== 1);
  return broadcasts && unsure ? sumAtRunTime(graph, sum, value) : sum;
}

/** The same where only the run can tell which axes are 1 long. */
function sumAtRunTime(graph: GraphBuilder, gradient: Value, value: Value): Value {
  const one = graph.scalar("int64", 1);
  const isOne = (of: Value) => of.op("Shape").op("Equal", [one]);
  const repeated = isOne(value).op("And", [isOne(gradient).op("Not")]);
  const axes = repeated.op("NonZero").reshape([-1]);
  return gradient.op("ReduceSum", [axes], { keepdims: 1, noop_with_empty_axes: 1 });
}
