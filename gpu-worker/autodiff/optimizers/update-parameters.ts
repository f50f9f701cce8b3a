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
  /** Numbers of a parameter that are updated together, at most. Default 2¹⁶. */
  readonly elementsAtOnce?: number;
};

/**
 * 256 KiB of each of the parameter, its gradient and its states. The dozen operators of an update pass over memory as
 * often; so many numbers stay in a core's cache from the first operator to the last, which halves the time.
 */
const usualElements = 2 ** 16;

/** Of them the runtime needs about as long to begin a turn as the turn takes. */
const leastPart = 1 / 16;

/** The value that is bound onto `name`, as many numbers, maybe of another shape. */
export function nextName(name: string): string {
  return `${name}.next`;
}

/** Name of the gradients' norm, an output of shape [], before it is clipped. */
export const gradientNormName = "grad_norm";

export type Update = {
  readonly graph: GraphBuilder;
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
  const names = groups.flatMap(({ parameters }) => parameters);
  expectParameters(graph, names);
  const gradients = new Set(names.map(gradientName));
  const kept = graph.outputs.filter(({ name }) => !gradients.has(name));
  const builder = GraphBuilder.from({ ...graph, outputs: kept });
  const [norm, clip] = builder.scope("clip", () => {
    const ordered = backwardOrder(graph, names).map(gradientName);
    const length = normOf(ordered.map((name) => builder.value(name)));
    return [length, clipBy(builder, length, maxNorm)] as const;
  });
  builder.output(gradientNormName, norm);
  const optimizer = builder.scope("update", () => prepare(builder));
  for (const group of groups) {
    for (const name of group.parameters) {
      const updated = builder.scope(`update/${name}`, () =>
        updateOf(builder, optimizer, { name, group, clip, elementsAtOnce }),
      );
      for (const [label, value] of Object.entries(updated)) {
        builder.output(nextName(label === "" ? name : `${name}.${label}`), value);
      }
    }
  }
  return nameOutputs(builder.build());
}

type Updating = Pick<Update, "group" | "clip"> & {
  readonly name: string;
  readonly elementsAtOnce: number;
};

function updateOf(
  builder: GraphBuilder,
  { states, update }: Optimizer,
  { name, group, clip, elementsAtOnce }: Updating,
): Updated {
  const parameter = builder.value(name);
  const turns = turnsOf(parameter, elementsAtOnce);
  const { dtype } = parameter;
  const shape = turns ?? parameter.shape;
  const kept = states.map((label) => builder.input(`${name}.${label}`, dtype, shape));
  const values = [parameter, builder.value(gradientName(name))];
  const compute = (graph: GraphBuilder, given: readonly Value[]): Updated => {
    const [own, gradient, ...of] = given;
    if (own === undefined || gradient === undefined) throw new TypeError("an update has both");
    const state = (label: string) => {
      const value = of[states.indexOf(label)];
      if (value === undefined) throw new TypeError(`"${label}" is no state`);
      return value;
    };
    return update({ graph, group, parameter: own, gradient, clip, state });
  };
  if (turns === null) return compute(builder, [...values, ...kept]);
  return inTurns(builder, [...values.map((value) => value.reshape(turns)), ...kept], compute);
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

/** @param inputs of turns × numbers */
function inTurns(
  builder: GraphBuilder,
  inputs: readonly Value[],
  compute: (graph: GraphBuilder, given: readonly Value[]) => Updated,
): Updated {
  const labels: string[] = [];
  const types = inputs.map(({ dtype, shape }) => ({ dtype, shape: shape.slice(1) }));
  const body = builder.body("turn", types, (inner, given) => {
    const updated = compute(inner, given);
    labels.push(...Object.keys(updated));
    return Object.values(updated);
  });
  const attributes = { body, num_scan_inputs: inputs.length };
  const results = builder.ops("Scan", inputs, attributes, labels.length);
  return Object.fromEntries(results.map((result, at) => [labels[at] ?? "", result] as const));
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
