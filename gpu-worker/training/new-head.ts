/**
 * What a checkpoint lacks before it is tuned: adapters, layers of a head, a table of word shapes. As PEFT and
 * transformers start them.
 */
import * as z from "zod";
import { shapeTable, wordTable } from "../architectures/embedding.ts";
import { prefixesOf, sizesOf, tunedEncoder } from "../architectures/encoder.ts";
import { peftPrefix } from "../architectures/trainable-layers.ts";
import type { TunedHead } from "../architectures/tuned-encoder.ts";
import { randomFrom } from "#contract/random.ts";
import { float32 } from "../tensor/tensor.ts";
import { layeredWeights, memoryWeights, weightsWithout } from "../weights/memory-weights.ts";
import { readFloat32 } from "../weights/read-float32.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { type AdapterStart, type Classifier } from "./continued.ts";
import { continuedLayer, continuedTensors } from "./continued.ts";
import { newAdapters, newLayer, newWordShapes } from "./start-tensors.ts";
import type { StartTensors } from "./start-tensors.ts";

type Started = {
  readonly outputs: number;
  /** Of the classifier's rows; none: they have no names. */
  readonly labels: readonly string[];
  readonly seed: number;
  /** Whether words' shapes are read, of which there may be a table already. */
  readonly wordShapes: boolean;
};

/** `weights` with a linear classifier on one vector. Closing it closes `weights`. @param name of its layer */
export function withNewClassifier(
  weights: WeightSource,
  name: string,
  { inputs, outputs, seed }: { inputs: number } & Pick<Started, "outputs" | "seed">,
): WeightSource {
  const layer = newLayer(name, { inputs, outputs }, randomFrom(seed));
  return layeredWeights(memoryWeights(layer), weights);
}

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
  {
    head,
    before,
    outputs,
    labels,
    seed,
    wordShapes,
  }: Started & {
    readonly head: TunedHead;
    /** The classifier that it goes on from; null: it begins. */
    readonly before: Classifier | null;
  },
): WeightSource {
  if (head === "masked-lm") return withMaskedHead(weights, config, seed);
  const { layers, savedName } = tunedEncoder(config, head);
  const random = randomFrom(seed);
  const last = layers.length - 1;
  const has = (name: string) =>
    weights.entry(name) !== null || weights.entry(savedName(name)) !== null;
  const started = layers.flatMap(({ name, inputs }, at) => {
    if (at < last && has(`${name}.weight`)) return [];
    const layer = newLayer(name, { inputs, outputs: at < last ? inputs : outputs }, random);
    const goesOn = before !== null && at === last;
    return [...(goesOn ? continuedLayer(layer, name, labels, before) : layer)];
  });
  const shapes = startShapes(weights, config, { wordShapes, prefix: "" });
  return layeredWeights(memoryWeights(new Map([...started, ...shapes])), weights);
}

const filled = (length: number, value: number) =>
  float32([length], new Float32Array(length).fill(value));

/**
 * `weights` with a head that scores the vocabulary, new where they have none: its decoder is the table of word
 * embeddings, as in BERT. One that a file holds a second time is left out.
 */
function withMaskedHead(weights: WeightSource, config: unknown, seed: number): WeightSource {
  const { maskedHeads, vocabulary, savedName } = tunedEncoder(config, "masked-lm");
  const nameOf = (name: string) =>
    [name, savedName(name)].find((each) => weights.entry(each) !== null) ?? null;
  const found = maskedHeads.find(({ dense }) => nameOf(`${dense}.weight`) !== null);
  const [first] = maskedHeads;
  if (found !== undefined || first === undefined) {
    const decoder = found?.decoder ?? null;
    const copy = decoder !== null && isTied(weights, config, [decoder, nameOf(wordTable) ?? ""]);
    return copy ? weightsWithout(weights, new Set([decoder])) : weights;
  }
  const { dense, norm, width, bias } = first;
  const started = new Map([
    ...newLayer(dense, { inputs: sizesOf(config).hidden, outputs: width }, randomFrom(seed)),
    [`${norm}.weight`, filled(width, 1)] as const,
    [`${norm}.bias`, filled(width, 0)] as const,
    [bias.at(-1) ?? "", filled(vocabulary, 0)] as const,
  ]);
  return layeredWeights(memoryWeights(started), weights);
}

const TyingFile = z.looseObject({ tie_word_embeddings: z.boolean().nullish() });

/** Whether two tensors are one to transformers: it ties them unless it is told not to. */
function isTied(
  weights: WeightSource,
  config: unknown,
  [decoder, table]: readonly [string, string],
): boolean {
  if (weights.entry(decoder) === null || weights.entry(table) === null) return false;
  if (TyingFile.parse(config).tie_word_embeddings === false) return false;
  const [own, words] = [readFloat32(weights, decoder), readFloat32(weights, table)];
  return own.length === words.length && own.every((value, at) => value === words[at]);
}

/**
 * `weights` with adapters that change nothing yet, and a linear classifier, one layer whatever the family, on so many
 * vectors side by side. Closing it closes `weights`.
 */
export function withNewAdapters(
  weights: WeightSource,
  config: unknown,
  {
    outputs,
    labels,
    seed,
    rank,
    wordShapes,
    vectors,
    classifier: name,
    before,
  }: Started & {
    readonly rank: number;
    readonly vectors: number;
    /** The name of its layer. */
    readonly classifier: string;
    /** The adapter that it goes on from; null: it begins. */
    readonly before: AdapterStart | null;
  },
): WeightSource {
  const { layers, adapted, prefix } = tunedEncoder(config, "sequence-classification");
  const random = randomFrom(seed);
  const inputs = vectors * (layers[0]?.inputs ?? 0);
  const adapters = new Map([
    ...newAdapters(weights, { rank, targets: adapted, prefix }, random),
    ...startShapes(weights, config, { wordShapes, prefix: peftPrefix + prefix }),
  ]);
  const layer = newLayer(name, { inputs, outputs }, random);
  const { tensors, classifier = null } = before ?? { tensors: null };
  const goneOn = tensors === null ? adapters : continuedTensors(adapters, tensors);
  const head = classifier === null ? layer : continuedLayer(layer, name, labels, classifier);
  return layeredWeights(memoryWeights(new Map([...goneOn, ...head])), weights);
}
