/**
 * The oracle of rules: a gradient by central differences of what the graph itself computes (five-point stencil, error
 * h⁴), in float64 where ONNX Runtime has the operator in it.
 */
import { gradient } from "../../gpu-worker/autodiff/gradient.ts";
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import type { Dim } from "../../gpu-worker/onnx/symbolic-shape.ts";
import type { Value } from "../../gpu-worker/onnx/value.ts";
import { elementCount } from "../../gpu-worker/tensor/shape.ts";
import { tensor } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { numbers, openModel } from "../onnx/run-graph.ts";
import type { OptimizationLevel } from "../onnx/run-graph.ts";

export type Float = "float64" | "float32";

/** `b` and `c` stand for `a` where there are not so many. */
export type Parameters = {
  readonly all: readonly Value[];
  readonly a: Value;
  readonly b: Value;
  readonly c: Value;
};

export type Case = {
  /** Shapes of the parameters a, b, c …; names stand for sizes. */
  readonly inputs: readonly (readonly Dim[])[];
  readonly build: (graph: GraphBuilder, parameters: Parameters) => Value;
  /** Default: float64. */
  readonly dtype?: Float;
  /** Made of the numbers −1 … 1 of a point. Default: as they are. */
  readonly from?: (element: number) => number;
  /** Whether the function is smooth where all parameters are 0. Default true. */
  readonly atZero?: boolean;
};

export const sizes: Readonly<Record<string, number>> = { batch: 2, sequence: 3 };

const steps = { float64: 1e-3, float32: 2 ** -4 } as const;
const tolerances = { float64: 1e-8, float32: 1e-4 } as const;
const names = ["a", "b", "c", "d"];

function knownShape(shape: readonly Dim[]): number[] {
  return shape.map((dim) => (typeof dim === "number" ? dim : (sizes[dim] ?? Number.NaN)));
}

export function floats(dtype: Float, shape: readonly number[], data: Iterable<number>): Tensor {
  return dtype === "float64"
    ? tensor(dtype, shape, Float64Array.from(data))
    : tensor(dtype, shape, Float32Array.from(data));
}

type Point = Readonly<
  Record<string, { readonly shape: readonly number[]; readonly data: number[] }>
>;

function pointOf({ inputs, from = (x) => x }: Case, seed: number | null): Point {
  const entries = inputs.map((shape, at) => {
    const known = knownShape(shape);
    const count = elementCount(known);
    const random = Array.from(numbers(count, (seed ?? 0) * 2_654_435 + at * 97_531 + 1));
    const data = seed === null ? random.map(() => 0) : random.map(from);
    return [names[at] ?? "", { shape: known, data }] as const;
  });
  return Object.fromEntries(entries);
}

/** y, and the loss Σ weights·y with gradients. */
function graphsOf({ inputs, build, dtype = "float64" }: Case): { forward: Graph; backward: Graph } {
  const declare = (graph: GraphBuilder): Parameters => {
    const all = inputs.map((shape, at) => graph.input(names[at] ?? "", dtype, shape));
    const [a, b = a, c = a] = all;
    if (a === undefined || b === undefined || c === undefined) throw new Error("no parameters");
    return { all, a, b, c };
  };
  const forward = new GraphBuilder("forward");
  forward.output("y", build(forward, declare(forward)));
  const graph = new GraphBuilder("loss");
  const y = build(graph, declare(graph));
  const weights = graph.input("weights", dtype, y.shape);
  const all = y.shape.map((_, axis) => axis);
  graph.output("loss", all.length === 0 ? y.mul(weights) : y.mul(weights).sum(all, false));
  const parameters = inputs.map((_, at) => names[at] ?? "");
  return {
    forward: forward.build(),
    backward: gradient(graph.build(), { loss: "loss", parameters }),
  };
}

export type Comparison = { name: string; found: number[]; expected: number[]; tolerance: number };

/** At four points and at 0. */
export async function compareGradients(
  given: Case,
  level: OptimizationLevel,
): Promise<Comparison[]> {
  const { dtype = "float64", atZero = true } = given;
  const { forward, backward } = graphsOf(given);
  const open = await openModel(encodeModelProto(forward), level);
  const trained = await openModel(encodeModelProto(backward), level);
  const comparisons: Comparison[] = [];
  const feedsOf = (point: Point) =>
    Object.fromEntries(
      Object.entries(point).map(([name, { shape, data }]) => [name, floats(dtype, shape, data)]),
    );
  for (const seed of [1, 2, 3, 4, ...(atZero ? [null] : [])]) {
    const point = pointOf(given, seed);
    const { y } = await open.run(feedsOf(point));
    const weights = numbers(y?.data.length ?? 0, 7);
    const valueAt = async (name: string, element: number, step: number) => {
      const moved = structuredClone(point);
      const data = moved[name]?.data ?? [];
      data[element] = (data[element] ?? 0) + step;
      const result = await open.run(feedsOf(moved));
      return (result["y"]?.data ?? []).reduce(
        (sum, value, i) => sum + value * (weights[i] ?? 0),
        0,
      );
    };
    const weightFeed = floats(dtype, y?.shape ?? [], weights);
    const found = await trained.run({ ...feedsOf(point), weights: weightFeed });
    for (const [name, { data }] of Object.entries(point)) {
      const expected: number[] = [];
      for (const element of data.keys()) {
        const h = steps[dtype];
        const difference = async (by: number) =>
          (await valueAt(name, element, by)) - (await valueAt(name, element, -by));
        expected.push((8 * (await difference(h)) - (await difference(2 * h))) / (12 * h));
      }
      comparisons.push({
        name: `${name} at ${seed ?? "zero"}`,
        found: found[`${name}.grad`]?.data ?? [],
        expected,
        tolerance: tolerances[dtype],
      });
    }
  }
  await Promise.all([open.release(), trained.release()]);
  return comparisons;
}
