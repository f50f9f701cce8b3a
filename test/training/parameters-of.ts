/** What a training graph's parameters hold before training, as feeds. */
import { expect } from "vitest";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import { float32 } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { readFloat32 } from "../../gpu-worker/weights/read-float32.ts";
import type { WeightSource } from "../../gpu-worker/weights/weight-source.ts";

export function parametersOf(graph: Graph, weights: WeightSource): Record<string, Tensor> {
  const stored = graph.inputs.filter(({ name }) => weights.entry(name) !== null);
  const start = stored.map(({ name, shape }) => {
    expect(shape).toEqual(weights.entry(name)?.shape);
    return [name, float32(shape.map(Number), readFloat32(weights, name))] as const;
  });
  return Object.fromEntries(start);
}
