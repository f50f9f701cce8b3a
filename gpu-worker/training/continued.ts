/**
 * A tuned model as the start of another training: an adapter's tensors, beside the base that both share, or a
 * checkpoint, which is a base itself. Rows of a classifier go on where the labels are the same, whatever their order.
 */
import type { TrainingTask } from "#contract/training/forms.ts";
import { peftPrefix } from "../architectures/trainable-layers.ts";
import { readAdapterWeights } from "../checkpoints/adapter-files.ts";
import { type Adapter, classifierOf, readAdapter } from "../checkpoints/adapter-folder.ts";
import type { LoraLayer } from "../checkpoints/lora-config.ts";
import { elementCount } from "../tensor/shape.ts";
import { float32, type Tensor, tensor } from "../tensor/tensor.ts";
import { readFloat32 } from "../weights/read-float32.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import type { StartTensors } from "./start-tensors.ts";
import type { LoraSizes } from "./training-plan.ts";
import { TuningError } from "./tuning-error.ts";

/**
 * What a training goes on from: a checkpoint is the base's own folder, an adapter has one beside it. Null: where it is
 * does not matter yet.
 */
export type Continued =
  | { readonly kind: "checkpoint" }
  | { readonly kind: "adapter"; readonly folder: string | null };

export type AdapterStart = {
  readonly sizes: LoraSizes;
  /** As training names them, but for the classifier. */
  readonly tensors: StartTensors;
  /** Null: it has none, as of a decoder. */
  readonly classifier: Classifier | null;
};

/** Null: one that is fitted for no labels, as of answers to questions. */
export type Classifier = {
  readonly labels: readonly string[];
  /** f32 [labels, features]. */
  readonly weight: Float32Array;
  readonly bias: Float32Array;
};

const again = "name its base, and give it all examples";

/** Null: nothing of an adapter is known. @throws TuningError where training cannot go on from it */
export async function startOf(
  from: Continued | undefined,
  of: { readonly task: TrainingTask; readonly baseDigest: string },
): Promise<AdapterStart | null> {
  return from?.kind === "adapter" && from.folder !== null
    ? await readAdapterStart(from.folder, of)
    : null;
}

async function readAdapterStart(
  folder: string,
  { task, baseDigest }: { readonly task: TrainingTask; readonly baseDigest: string },
): Promise<AdapterStart> {
  const adapter = await readAdapter(folder);
  if (adapter === null) throw new TuningError(`the tuned model is no adapter: ${again}`);
  if (adapter.baseDigest !== null && adapter.baseDigest !== baseDigest) {
    throw new TuningError(`its base has other weights than the tuned model was made of: ${again}`);
  }
  expectTask(adapter, task);
  if (adapter.softPrompt !== null) {
    throw new TuningError(`the tuned model is a soft prompt, which nothing goes on from: ${again}`);
  }
  const head = adapter.kind === "decoder" ? null : `${peftPrefix}${classifierOf(adapter.task)}.`;
  const sizes = sizesOf(adapter.lora);
  const tensors = readAdapterWeights(folder, (source) => {
    const names = source.names().filter((name) => head === null || !name.startsWith(head));
    return new Map(names.map((name) => [name, readTensor(source, name)] as const));
  });
  if (adapter.kind === "decoder") return { sizes, tensors, classifier: null };
  const { labels, weight, bias } = adapter;
  return { sizes, tensors, classifier: { labels, weight, bias } };
}

function expectTask(adapter: Adapter, task: TrainingTask): void {
  if (adapter.kind === "decoder" || adapter.task === task) return;
  throw new TuningError(`the tuned model does ${adapter.task}, and the examples are for ${task}`);
}

/** @throws TuningError for a head alone, and where layers differ in rank or weight */
function sizesOf(layers: readonly LoraLayer[]): LoraSizes {
  const [first] = layers;
  if (first === undefined) {
    throw new TuningError(
      "the tuned model is a head alone, which is fitted anew each time, so that nothing can go on: " +
        again,
    );
  }
  const { rank, scale } = first;
  if (layers.every((layer) => layer.rank === rank && layer.scale === scale))
    return { rank, alpha: rank * scale };
  throw new TuningError(`the tuned model's layers differ in rank or weight: ${again}`);
}

function readTensor(source: WeightSource, name: string): Tensor {
  const shape = source.entry(name)?.shape ?? [];
  return tensor("float32", shape, readFloat32(source, name));
}

/**
 * New tensors with those in their places that are known already.
 * @throws TuningError where one that is known has no place
 */
export function continuedTensors(started: StartTensors, known: StartTensors): StartTensors {
  const all = new Map(started);
  for (const [name, each] of known) {
    if (all.get(name)?.shape.join() !== each.shape.join())
      throw new TuningError(`the tuned model changes ${name}, which is not trained here: ${again}`);
    all.set(name, each);
  }
  return all;
}

/**
 * A new layer's tensors, the rows of labels that were known as they were.
 * @param layer its name @param labels of its rows; none: they have no names, and all are the same
 */
export function continuedLayer(
  started: StartTensors,
  layer: string,
  labels: readonly string[],
  before: Classifier,
): StartTensors {
  const [weight, bias] = [`${layer}.weight`, `${layer}.bias`];
  const [rows = 0, width = 0] = started.get(weight)?.shape ?? [];
  const oldRows = before.bias.length;
  if (before.weight.length !== oldRows * width || width === 0) return started;
  if (labels.length === 0 && oldRows !== rows) return started;
  const next = { weight: floatsOf(started.get(weight)), bias: floatsOf(started.get(bias)) };
  for (let row = 0; row < rows; row++) {
    const old = labels.length === 0 ? row : before.labels.indexOf(labels[row] ?? "");
    if (old === -1) continue;
    next.weight.set(before.weight.subarray(old * width, (old + 1) * width), row * width);
    next.bias[row] = before.bias[old] ?? 0;
  }
  const all = new Map(started);
  all.set(weight, tensor("float32", [rows, width], next.weight));
  all.set(bias, float32([rows], next.bias));
  return all;
}

function floatsOf(given: Tensor | undefined): Float32Array {
  if (given?.dtype !== "float32") throw new TypeError("a layer starts in f32");
  return Float32Array.from({ length: elementCount(given.shape) }, (_, at) => given.data[at] ?? 0);
}
