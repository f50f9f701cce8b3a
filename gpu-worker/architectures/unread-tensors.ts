/**
 * Tensors of a checkpoint that its graph has not read: a checkpoint that holds more than config.json describes (an
 * adapter that was not merged, a layer more, a classifier of another kind) would give wrong answers. Tensors that are
 * known to change no answer are allowed.
 */
import { scaleSuffix } from "../weights/int8-rows.ts";
import { WeightError } from "../weights/weight-source.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import type { Architecture } from "./architecture.ts";
import type { HeadName } from "./encoder-head.ts";

/** The same source, and the names of the tensors that were found in it since. */
export function watchReads(source: WeightSource): { source: WeightSource; read: Set<string> } {
  const read = new Set<string>();
  const entry = (name: string) => {
    const found = source.entry(name);
    if (found !== null) read.add(name);
    return found;
  };
  return { source: { ...source, entry }, read };
}

/** Counts 0, 1, 2 … and rows of zeros, which older versions of the library saved with the weights. */
const buffers = /^embeddings\.(position_ids|token_type_ids)$/;
/** Made with every encoder; the heads that read it name it, and for the others it was never trained or goes unused. */
const pooler = /^pooler\.dense\.(weight|bias)$/;
/** Heads of pre-training: tuning an encoder for another task, or taking its vectors, takes them off. */
const pretrainingHeads = [
  "cls",
  "lm_head",
  "lm_predictions",
  "mask_predictions",
  "vocab_transform",
  "vocab_layer_norm",
  "vocab_projector",
  "generator_predictions",
  "generator_lm_head",
  "discriminator_predictions",
];
const pretraining = new RegExp(`^(${pretrainingHeads.join("|")})\\.`);
/** Beside the masked-lm: the other task of its pre-training, and the bias that its decoder has a copy of. */
const besideMasks =
  /^(cls\.seq_relationship\.|mask_predictions\.|discriminator_predictions\.|cls\.predictions\.bias$|lm_head\.bias$)/;
/** Not read by DeBERTa's classes where attention alone tells tokens' positions. */
const positions = /^embeddings\.position_embeddings\.weight$/;
/** Made by DeBERTa's classes whether or not distances count. */
const distances = /^encoder\.(rel_embeddings|LayerNorm)\.(weight|bias|gamma|beta)$/;

/** What an encoder with that head can leave unread, named without prefix. */
export function harmlessToEncoder(
  architecture: Architecture,
  head: HeadName,
): (name: string) => boolean {
  // A key's bias adds the same to all scores of a query, which softmax ignores.
  const keys = new Set(
    Array.from({ length: architecture.layers }, (_, at) => `${architecture.layer(at).key}.bias`),
  );
  const patterns = [buffers, pooler, head === "masked-lm" ? besideMasks : pretraining];
  if (architecture.embeddings.positions === null) patterns.push(positions);
  if (architecture.relative === null) patterns.push(distances);
  return (name) => keys.has(name) || patterns.some((pattern) => pattern.test(name));
}

/** As many are named. */
const namedMost = 5;

/** A graph's checkpoint, as its messages call it. */
export type ReadBy = {
  readonly name: string;
  /** What checkpoints put before names of tensors. */
  readonly prefixes: readonly string[];
  /** Whether a tensor, named without prefix, changes no answer. */
  readonly isHarmless: (name: string) => boolean;
};

/** @throws WeightError that names what was not read and is not known to be harmless */
export function refuseUnread(
  source: WeightSource,
  read: ReadonlySet<string>,
  { name: model, prefixes, isHarmless }: ReadBy,
): void {
  const left = source.names().filter((name) => {
    const tensor = name.endsWith(scaleSuffix) ? name.slice(0, -scaleSuffix.length) : name;
    if (read.has(name) || read.has(tensor)) return false;
    const prefix = prefixes.find((each) => tensor.startsWith(each)) ?? "";
    return !isHarmless(tensor.slice(prefix.length));
  });
  if (left.length === 0) return;
  const rest = left.length > namedMost ? ` and ${left.length - namedMost} more` : "";
  throw new WeightError(
    `the weights hold tensors that a ${model} as config.json describes it has no place for: ` +
      `${left.slice(0, namedMost).join(", ")}${rest}. ` +
      "Merge adapters, or save the model with the class it was made with",
  );
}
