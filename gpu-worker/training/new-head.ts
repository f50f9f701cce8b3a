/** What a checkpoint lacks before it is tuned: adapters, layers of a head. As PEFT and transformers start them. */
import { tunedEncoder } from "../architectures/encoder.ts";
import type { TunedHead } from "../architectures/tuned-encoder.ts";
import { randomFrom } from "../tensor/random.ts";
import { layeredWeights, memoryWeights } from "../weights/memory-weights.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { newAdapters, newLayer } from "./start-tensors.ts";

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

/** The classifier that adapters have, one layer whatever the family, which reads so many features. */
export const adapterClassifier = "classifier";

/** `weights` with adapters that change nothing yet, and a linear classifier. Closing it closes `weights`. */
export function withNewAdapters(
  weights: WeightSource,
  config: unknown,
  {
    outputs,
    seed,
    rank,
  }: { readonly outputs: number; readonly seed: number; readonly rank: number },
): WeightSource {
  const { layers, adapted, prefix } = tunedEncoder(config, "sequence-classification");
  const random = randomFrom(seed);
  const inputs = layers[0]?.inputs ?? 0;
  const started = [
    ...newAdapters(weights, { rank, targets: adapted, prefix }, random),
    ...newLayer(adapterClassifier, { inputs, outputs }, random),
  ];
  return layeredWeights(memoryWeights(new Map(started)), weights);
}
