/** What a checkpoint lacks before it is tuned: adapters, layers of a head, a table of word shapes. */
import { shapeTable } from "../architectures/embedding.ts";
import { prefixesOf, tunedEncoder } from "../architectures/encoder.ts";
import { peftPrefix } from "../architectures/trainable-layers.ts";
import type { TunedHead } from "../architectures/tuned-encoder.ts";
import { randomFrom } from "../tensor/random.ts";
import { layeredWeights, memoryWeights } from "../weights/memory-weights.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { newAdapters, newLayer, newWordShapes } from "./start-tensors.ts";
import type { StartTensors } from "./start-tensors.ts";

type Started = {
  readonly outputs: number;
  readonly seed: number;
  /** Whether words' shapes are read, of which there may be a table already. */
  readonly wordShapes: boolean;
};

/** @param prefix of the table's name */
function startShapes(
  weights: WeightSource,
  config: unknown,
  { wordShapes, prefix }: { readonly wordShapes: boolean; readonly prefix: string },
): StartTensors {
  const isThere = prefixesOf(config).some((each) => weights.entry(each + shapeTable) !== null);
  if (!wordShapes || isThere) return new Map();
  const { embeddingWidth } = tunedEncoder(config, "token-classification");
  const named = [...newWordShapes(embeddingWidth)].map(
    ([name, table]) => [prefix + name, table] as const,
  );
  return new Map(named);
}

/**
 * `weights` with a new last layer of so many outputs, and whatever other layers of the head are not there. Closing it
 * closes `weights`.
 */
export function withNewHead(
  weights: WeightSource,
  config: unknown,
  { head, outputs, seed, wordShapes }: Started & { readonly head: TunedHead },
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
  const shapes = startShapes(weights, config, { wordShapes, prefix: "" });
  return layeredWeights(memoryWeights(new Map([...started, ...shapes])), weights);
}

/** The classifier that adapters have, one layer whatever the family, which reads so many features. */
export const adapterClassifier = "classifier";

/**
 * `weights` with adapters that change nothing yet, and a linear classifier on so many vectors side by side. Closing it
 * closes `weights`.
 */
export function withNewAdapters(
  weights: WeightSource,
  config: unknown,
  {
    outputs,
    seed,
    rank,
    wordShapes,
    vectors,
  }: Started & { readonly rank: number; readonly vectors: number },
): WeightSource {
  const { layers, adapted, prefix } = tunedEncoder(config, "sequence-classification");
  const random = randomFrom(seed);
  const inputs = vectors * (layers[0]?.inputs ?? 0);
  const started = [
    ...newAdapters(weights, { rank, targets: adapted, prefix }, random),
    ...newLayer(adapterClassifier, { inputs, outputs }, random),
    ...startShapes(weights, config, { wordShapes, prefix: peftPrefix + prefix }),
  ];
  return layeredWeights(memoryWeights(new Map(started)), weights);
}
