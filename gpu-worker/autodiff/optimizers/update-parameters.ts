/**
 * What all optimizers share: a graph that gives gradients becomes one that gives the updated parameters and their
 * states, each `NAME.next` to be bound in place onto the input `NAME` it comes from.
 *
 * In place, an update overwrites what it was made from, so everything that reads a parameter must have run before. The
 * clip by the gradients' norm sees to it: every update depends on every gradient, and every reader must lead to one.
 */
import { GraphError, readsOf } from "../../onnx/graph.ts";
import type { Graph } from "../../onnx/graph.ts";
import { GraphBuilder } from "../../onnx/graph-builder.ts";
import type { Value } from "../../onnx/value.ts";
import { smallElementsMax } from "../../onnx/verify-graph.ts";
import { gradientName } from "../gradient.ts";
import { nameOutputs } from "../name-outputs.ts";
import { backwardOrder } from "./backward-order.ts";

/** Parameters that are updated alike. */
export type ParameterGroup = {
  readonly parameters: readonly string[];
  /** Default: the optimizer's. Biases and norms commonly have none. */
  readonly weightDecay?: number;
  /** Factor of the learning rate. Default 1. */
  readonly rate?: number;
};

export type ClippedOptions = {
  readonly groups: readonly ParameterGroup[];
  /**
   * Gradients longer than this, all taken as one vector, are scaled to it. Infinity: never, but computed all the same.
   */
  readonly maxNorm: number;
  /** Numbers of a parameter that are updated together, at most. Default 2¹⁸. */
  readonly elementsAtOnce?: number;
};

/**
 * 1 MiB of each of the parameter, its gradient and its states. The dozen operators of an update pass over memory as
 * often; so many numbers stay in the cores' caches from the first operator to the last, and are enough for the runtime
 * to part each operator between two threads: of a quarter as many it makes no use of the second.
 */
const usualElements = 2 ** 18;

/** Of them the runtime needs about as long to begin a turn as the turn takes. */
const leastPart = 1 / 16;

/** The value that is bound onto `name`, as many numbers, maybe of another shape. */
export function nextName(name: string): string {
  return `${name}.next`;
}

/** Name of the gradients' norm, an output of shape [], before it is clipped. */
export const gradientNormName = "grad_norm";

export type Update = {
  readonly group: ParameterGroup;
  readonly parameter: Value;
  readonly gradient: Value;
  /** f32 []: the gradient is to be multiplied by it. */
  readonly clip: Value;
  /** One of the optimizer's states. */
  readonly state: (label: string) => Value;
};

/** By label, "" for the parameter. */
export type Updated = Readonly<Record<string, Value>>;

export type Optimizer = {
  /** Labels of what is kept of each parameter, `NAME.label`: as many numbers, zeros in the beginning. */
  readonly states: readonly string[];
  readonly update: (update: Update) => Updated;
};

/** torch.nn.utils.clip_grad_norm_'s. */
const normEpsilon = 1e-6;

/**
 * @param prepare is called once, for what all updates share, and gives the update of each parameter
 * @throws GraphError where a parameter has no gradient, comes twice, or is read by what leads to none, and for a norm
 *   that is not positive
 */
export function updateParameters(
  graph: Graph,
  { groups, maxNorm, elementsAtOnce = usualElements }: ClippedOptions,
  prepare: (builder: GraphBuilder) => Optimizer,
): Graph {
  if (!(maxNorm > 0)) throw new GraphError(`gradients cannot be scaled to length ${maxNorm}`);
  const all = groups.flatMap(({ parameters }) => parameters);
  expectParameters(graph, all);
  const gradients = new Set(all.map(gradientName));
  const kept = graph.outputs.filter(({ name }) => !gradients.has(name));
  const builder = GraphBuilder.from({ ...graph, outputs: kept });
  const [norm, clip] = builder.scope("clip", () => {
    const ordered = backwardOrder(graph, all).map(gradientName);
    const length = normOf(ordered.map((name) => builder.value(name)));
    return [length, clipBy(builder, length, maxNorm)] as const;
  });
  builder.output(gradientNormName, norm);
  const optimizer = builder.scope("update", () => prepare(builder));
  for (const group of groups) {
    const compute = computation(optimizer, { group, clip });
    for (const names of updatedTogether(builder, group)) {
      const [first = ""] = names;
      const updating = { names, states: optimizer.states, compute, elementsAtOnce };
      const updated = builder.scope(`update/${first}`, () => updateOf(builder, updating));
      for (const [name, value] of updated) builder.output(nextName(name), value);
    }
  }
  return nameOutputs(builder.build());
}

/** From a parameter, its gradient and its states to the parameter and its states. */
type Compute = (given: readonly Value[]) => Value[];

function computation(
  { states, update }: Optimizer,
  { group, clip }: Pick<Update, "group" | "clip">,
): Compute {
  return ([parameter, gradient, ...kept]) => {
    if (parameter === undefined || gradient === undefined) throw new TypeError("there are both");
    const state = (label: string) => stateNamed(label, kept[states.indexOf(label)]);
    const updated = update({ group, parameter, gradient, clip, state });
    return ["", ...states].map((label) => stateNamed(label, updated[label]));
  };
}

function stateNamed(label: string, value: Value | undefined): Value {
  if (value === undefined) throw new TypeError(`"${label}" is no state`);
  return value;
}

/**
 * Vectors, biases and norms, are short: it takes longer to begin an operator than to run it. Their lengths are a
 * constant that they are parted by, of no more elements than inference follows.
 */
function updatedTogether(builder: GraphBuilder, { parameters }: ParameterGroup): string[][] {
  const isVector = (name: string) => builder.value(name).shape.length === 1;
  const vectors = parameters.filter(isVector);
  const others = parameters.filter((name) => !isVector(name)).map((name) => [name]);
  const lists = Math.ceil(vectors.length / smallElementsMax);
  const together = Array.from({ length: lists }, (_, at) =>
    vectors.slice(at * smallElementsMax, (at + 1) * smallElementsMax),
  );
  return [...others, ...together];
}

type Updating = {
  /** One, or vectors. */
  readonly names: readonly string[];
  readonly states: readonly string[];
  readonly compute: Compute;
  readonly elementsAtOnce: number;
};

/** By name, of parameters and states. */
function updateOf(
  builder: GraphBuilder,
  { names, states, compute, elementsAtOnce }: Updating,
): (readonly [string, Value])[] {
  const [first = ""] = names;
  const turns = names.length > 1 ? null : turnsOf(builder.value(first), elementsAtOnce);
  const kept = states.map((label) => {
    const named = names.map((name) => `${name}.${label}`);
    const inputs = named.map((name, at) => {
      const { dtype, shape } = builder.value(names[at] ?? "");
      return builder.input(name, dtype, turns ?? shape);
    });
    return { named, inputs };
  });
  const own = names.map((name) => builder.value(name));
  const gradients = names.map((name) => builder.value(gradientName(name)));
  const all = [own, gradients, ...kept.map(({ inputs }) => inputs)];
  const results = [names, ...kept.map(({ named }) => named)];
  if (names.length > 1) {
    const updated = compute(all.map((each) => builder.op("Concat", each, { axis: 0 })));
    const lengths = builder.integers(own.map(({ shape }) => Number(shape[0])));
    return updated.flatMap((value, at) => {
      const parts = builder.ops("Split", [value, lengths], { axis: 0 }, names.length);
      return parts.map((part, name) => [results[at]?.[name] ?? "", part] as const);
    });
  }
  const inputs = all.flat();
  const updated = turns === null ? compute(inputs) : inTurns(builder, inputs, { turns, compute });
  return updated.map((value, at) => [results[at]?.[0] ?? "", value] as const);
}

/** Turns and numbers of each, as many of these as may be; null: all are few enough, or have no such part. */
function turnsOf({ shape }: Value, elementsAtOnce: number): [number, number] | null {
  const count = shape.reduce<number>((product, length) => product * Number(length), 1);
  if (count <= 2 * elementsAtOnce) return null;
  for (let length = elementsAtOnce; length >= elementsAtOnce * leastPart; length--) {
    if (count % length === 0) return [count / length, length];
  }
  return null;
}

function inTurns(
  builder: GraphBuilder,
  inputs: readonly Value[],
  { turns, compute }: Pick<Updating, "compute"> & { readonly turns: [number, number] },
): Value[] {
  const types = inputs.map(({ dtype }) => ({ dtype, shape: turns.slice(1) }));
  const body = builder.body("turn", types, (_, given) => compute(given));
  const isCut = ({ shape }: Value) => shape.join() === turns.join();
  const cut = inputs.map((input) => (isCut(input) ? input : input.reshape(turns)));
  const attributes = { body, num_scan_inputs: inputs.length };
  return builder.ops("Scan", cut, attributes, body.outputs.length);
}

/** All squares before their sums: the runtime comes to what was added last first, and so to the first gradient. */
function normOf(gradients: readonly Value[]): Value {
  const squares = gradients.map((gradient) => gradient.op("ReduceSumSquare", [], { keepdims: 0 }));
  return squares.reduce((sum, square) => sum.add(square)).sqrt();
}

/** min(1, most / (norm + ε)). */
function clipBy(graph: GraphBuilder, norm: Value, most: number): Value {
  const part = graph.scalar("float32", most).div(norm.add(normEpsilon));
  return part.op("Min", [graph.scalar("float32", 1)]);
}

function expectParameters(graph: Graph, names: readonly string[]): void {
  if (names.length === 0) throw new GraphError("there is no parameter to update");
  if (new Set(names).size < names.length) throw new GraphError("a parameter is in two groups");
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const lost = names.find((name) => !outputs.has(gradientName(name)));
  if (lost !== undefined) throw new GraphError(`"${lost}" has no output ${gradientName(lost)}`);
  const parameters = new Set(names);
  const leading = new Set(names.map(gradientName));
  for (const node of graph.nodes.toReversed()) {
    const reads = readsOf(node);
    const leads = node.outputs.some((result) => leading.has(result));
    if (leads) for (const name of reads) leading.add(name);
    const read = reads.find((name) => parameters.has(name));
    if (leads || read === undefined) continue;
    throw new GraphError(
      `"${node.name}" reads "${read}" and leads to no gradient: it could run after the update`,
    );
  }
}
