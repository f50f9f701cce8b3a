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
  /** Numbers of a parameter that are updated together, about. Default 2¹⁹. */
  readonly elementsAtOnce?: number;
};

/**
 * 2 MiB of each of the parameter, its gradient and its states. The dozen operators of an update pass over memory as
 * often where a parameter is larger than a core's cache: MiniLM's word embeddings took three times as long as all its
 * other parameters together, which are as many numbers.
 */
const usualElements = 2 ** 19;

/** The value that is bound onto `name`. */
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
  /** A state of the parameter's shape, `NAME.label`, zeros in the beginning. */
  readonly state: (label: string) => Value;
};

/** By label, "" for the parameter. */
export type Updated = Readonly<Record<string, Value>>;

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
  prepare: (builder: GraphBuilder) => (update: Update) => Updated,
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
  const update = builder.scope("update", () => prepare(builder));
  for (const group of groups) {
    for (const name of group.parameters) {
      const parameter = builder.value(name);
      const states = new Map<string, Value>();
      const stateOf = (label: string): Value => {
        const known = states.get(label);
        if (known !== undefined) return known;
        const state = builder.input(`${name}.${label}`, parameter.dtype, parameter.shape);
        states.set(label, state);
        return state;
      };
      const updated = builder.scope(`update/${name}`, () =>
        inParts(builder, partsOf(parameter, elementsAtOnce), (part) =>
          update({
            graph: builder,
            group,
            parameter: part(parameter),
            gradient: part(builder.value(gradientName(name))),
            clip,
            state: (label) => part(stateOf(label)),
          }),
        ),
      );
      for (const [label, value] of Object.entries(updated)) {
        builder.output(nextName(label === "" ? name : `${name}.${label}`), value);
      }
    }
  }
  return nameOutputs(builder.build());
}

type Part = (whole: Value) => Value;

/** Rows of a parameter, of so many numbers each or fewer; all of one that is not much larger. */
function partsOf({ shape }: Value, elementsAtOnce: number): Part[] {
  const [rows = 1, ...others] = shape.map(Number);
  const each = others.reduce((product, length) => product * length, 1);
  const count = Math.ceil(rows / Math.max(1, Math.floor(elementsAtOnce / each)));
  if (!(count > 2)) return [(whole) => whole];
  const length = Math.ceil(rows / count);
  return Array.from({ length: Math.ceil(rows / length) }, (_, at) => {
    return (whole: Value) => whole.slice(0, at * length, Math.min(rows, (at + 1) * length));
  });
}

/** Each part by itself, while it is in the cache, then put together. */
function inParts(
  graph: GraphBuilder,
  parts: readonly Part[],
  update: (part: Part) => Updated,
): Updated {
  const updated = parts.map(update);
  const [first = {}] = updated;
  if (updated.length === 1) return first;
  const labels = Object.keys(first);
  return Object.fromEntries(
    labels.map((label) => {
      const values = updated.flatMap((each) => each[label] ?? []);
      return [label, graph.op("Concat", values, { axis: 0 })];
    }),
  );
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
