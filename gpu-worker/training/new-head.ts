/** The layers of a task's head that a checkpoint lacks, as transformers starts them. */
import { tunedEncoder } from "../architectures/encoder.ts";
import type { TunedHead } from "../architectures/tuned-encoder.ts";
import { randomFrom } from "../tensor/random.ts";
import { layeredWeights, memoryWeights } from "../weights/memory-weights.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { newLayer } from "./start-tensors.ts";

/**
 * `weights` with a new last layer of so many outputs, and whatever other layers of the head are not there. Closing it
 * closes `weights`.
 */
export function withNewHead(
  weights: WeightSource,
  config: unknown,
  {
    head,
    outputs,
    seed,
  }: { readonly head: TunedHead; readonly outputs: number; readonly seed: number },
): WeightSource {
  const { layers, savedName } = tunedEncoder(config, head);
  const random = randomFrom(seed);
  const last = layers.length - 1;
  const has = (name: string) =>
    weights.entry(name) !== null || weights.entry(savedName(name)) !== null;
  const started = layers.flatMap(({ name, inputs }, at) => {
    if (at < last && has(`${name}.weight`)) return [];
    return [...newLayer(name, { inputs, outputs: at < last ? inputs : outputs }, random)];
  });
  return layeredWeights(memoryWeights(new Map(started)), weights);
}
