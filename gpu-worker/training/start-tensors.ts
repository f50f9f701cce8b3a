/**
 * What a checkpoint lacks before it is trained, and where that starts: a classifier, adapters of low rank, virtual
 * tokens, a table of word shapes. Names are those that transformers and PEFT save.
 */
import { shapeTable } from "../architectures/embedding.ts";
import { peftPrefix } from "../architectures/trainable-layers.ts";
import { promptTable } from "../architectures/virtual-tokens.ts";
import { wordShapes } from "../model/word-shapes.ts";
import { elementCount } from "../tensor/shape.ts";
import { tensor } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { readFloat32 } from "../weights/read-float32.ts";
import { WeightError } from "../weights/weight-source.ts";
import type { WeightSource } from "../weights/weight-source.ts";

/** Evenly distributed, 0 ≤ x < 1. */
export type Random = () => number;

export type StartTensors = ReadonlyMap<string, Tensor>;

function filled(shape: readonly number[], of: () => number): Tensor {
  return tensor("float32", shape, Float32Array.from({ length: elementCount(shape) }, of));
}

const zeros = (shape: readonly number[]) => filled(shape, () => 0);

/** Box and Muller's transform. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** transformers' initializer_range. */
const deviation = 0.02;

/** A linear layer as transformers starts it: normal weights, no bias. */
export function newLayer(
  name: string,
  { inputs, outputs }: { readonly inputs: number; readonly outputs: number },
  random: Random,
): StartTensors {
  return new Map([
    [`${name}.weight`, filled([outputs, inputs], () => normal(random) * deviation)],
    [`${name}.bias`, zeros([outputs])],
  ]);
}

export type LoraOptions = {
  readonly rank: number;
  /** Layers that get an adapter: those of these names, or whose names end with one (`q_proj`). */
  readonly targets: readonly string[];
  /** What the class has before the names of its base model, where the checkpoint has it not: "bert.", or "". */
  readonly prefix: string;
};

/** What an adapter's product is multiplied by: alpha / r, or alpha / √r (https://arxiv.org/abs/2312.03732). */
export function loraScale({
  rank,
  alpha,
  rankStabilised = false,
}: {
  readonly rank: number;
  readonly alpha: number;
  readonly rankStabilised?: boolean;
}): number {
  return alpha / (rankStabilised ? Math.sqrt(rank) : rank);
}

function isTarget(layer: string, targets: readonly string[]): boolean {
  return targets.some((target) => layer === target || layer.endsWith(`.${target}`));
}

/**
 * Adapters as PEFT starts them: A evenly in ±1/√inputs, B zero, so that nothing changes at first.
 * @throws WeightError where no layer has such a name
 */
export function newAdapters(
  weights: WeightSource,
  { rank, targets, prefix }: LoraOptions,
  random: Random,
): StartTensors {
  const tensors = new Map<string, Tensor>();
  for (const name of weights.names()) {
    const layer = name.replace(/\.weight$/, "");
    const [outputs, inputs, ...rest] = weights.entry(name)?.shape ?? [];
    if (layer === name || !isTarget(layer, targets)) continue;
    if (outputs === undefined || inputs === undefined || rest.length > 0) continue;
    const whole = `${peftPrefix}${layer.startsWith(prefix) ? "" : prefix}${layer}`;
    const bound = 1 / Math.sqrt(inputs);
    tensors.set(
      `${whole}.lora_A.weight`,
      filled([rank, inputs], () => (2 * random() - 1) * bound),
    );
    tensors.set(`${whole}.lora_B.weight`, zeros([outputs, rank]));
  }
  if (tensors.size > 0) return tensors;
  throw new WeightError(`no linear layer is named ${targets.join(", ")}`);
}

/** A table of word shapes that changes nothing at first, `width` as the word embeddings. */
export function newWordShapes(width: number): StartTensors {
  return new Map([[shapeTable, zeros([wordShapes.length, width])]]);
}

export type PromptOptions = {
  /** The word embeddings' name. */
  readonly table: string;
  readonly tokens: number;
  /** What it starts as, in turn, as PEFT repeats a text. Absent or none: words drawn by chance. */
  readonly words?: readonly number[];
  /** Factor of embedded words. Default 1. */
  readonly scale?: number;
};

/** Virtual tokens that start as words of the vocabulary (https://arxiv.org/abs/2104.08691, 3.2). */
export function newPrompt(
  weights: WeightSource,
  { table, tokens, words: given = [], scale = 1 }: PromptOptions,
  random: Random,
): StartTensors {
  const [rows = 0, width = 0] = weights.entry(table)?.shape ?? [];
  const words = readFloat32(weights, table);
  const vectors = new Float32Array(tokens * width);
  for (let token = 0; token < tokens; token++) {
    const row = given[token % given.length] ?? Math.floor(random() * rows);
    const vector = words.subarray(row * width, (row + 1) * width);
    vectors.set(scale === 1 ? vector : vector.map((value) => value * scale), token * width);
  }
  return new Map([[promptTable, tensor("float32", [tokens, width], vectors)]]);
}
