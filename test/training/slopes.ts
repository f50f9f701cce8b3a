/**
 * The oracle of whole models' gradients: central differences of the loss by a parameter, along the gradient itself,
 * where its length is what the loss rises by, and along a direction drawn by chance.
 */
import { gradient, gradientName } from "../../gpu-worker/autodiff/gradient.ts";
import { encodeModel } from "../../gpu-worker/onnx/encode-model.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import type { Runtime } from "../../gpu-worker/runtime/session.ts";
import { float32 } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { numbers } from "../onnx/run-graph.ts";

function floatsOf(tensor: Tensor | undefined): Float32Array {
  if (tensor?.dtype !== "float32") throw new TypeError("not f32");
  return tensor.data;
}

const lengthOf = (vector: Float32Array) => Math.hypot(...vector);

export type Slope = { readonly name: string; readonly given: number; readonly measured: number };

export type Differentiated = {
  /** Gives `loss`. */
  readonly forward: Graph;
  /** Parameters included. */
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly parameters: readonly string[];
  /** As `gradient` takes them. */
  readonly checkpoints: readonly string[];
};

/** What the gradient says the loss rises by along directions, and what it does. */
export async function slopesOf(
  runtime: Runtime,
  { forward, feeds, parameters, checkpoints }: Differentiated,
): Promise<Slope[]> {
  const graph = gradient(forward, { loss: "loss", parameters, checkpoints });
  const bytes = await encodeModel(graph);
  const session = await runtime.load({ bytes }, { threads: 1, provider: "cpu" });
  const own = Object.fromEntries(
    graph.inputs.flatMap(({ name }) => (feeds[name] ? [[name, feeds[name]] as const] : [])),
  );
  const lossAt = async (name: string, start: Float32Array, step: Float32Array) => {
    const moved = start.map((element, at) => element + (step[at] ?? 0));
    const shape = feeds[name]?.shape ?? [];
    const { loss } = await session.run(
      { ...own, [name]: float32(shape, moved) },
      { outputs: ["loss"] },
    );
    return floatsOf(loss)[0] ?? NaN;
  };
  try {
    const results = await session.run(own);
    const slopes: Slope[] = [];
    for (const [seed, name] of parameters.entries()) {
      const slope = floatsOf(results[gradientName(name)]);
      const start = floatsOf(feeds[name]);
      const steepness = lengthOf(slope);
      for (const way of [slope, numbers(slope.length, seed + 7)]) {
        const length = lengthOf(way);
        // Rises by a hundredth: far above what f32 rounds, and near enough for a straight line.
        const along = way.reduce((sum, part, at) => sum + (part / length) * (slope[at] ?? 0), 0);
        const size = Math.min(0.01 / steepness, 0.02 * Math.max(lengthOf(start), 1));
        const step = way.map((part) => (part / length) * size);
        const above = await lossAt(name, start, step);
        const below = await lossAt(
          name,
          start,
          step.map((part) => -part),
        );
        // As parts of the steepest slope, which is what f32 measures well.
        slopes.push({
          name,
          given: along / steepness,
          measured: (above - below) / (2 * size * steepness),
        });
      }
    }
    return slopes;
  } finally {
    await session.release();
  }
}
