/**
 * What runs of a model take of memory, by its sizes. Measured on the CPU in f32: hidden states and the feed-forward
 * block's in and out, as attention is over by then; of scores, the product, with the mask, and their softmax, in an
 * arena that grows by powers of two.
 */
import * as z from "zod";
import { attentionOf } from "../architectures/encoder.ts";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import type { RunMemory } from "../model/run-memory.ts";
import type { LoadedModel } from "./loaded-model.ts";

const floatBytes = Float32Array.BYTES_PER_ELEMENT;
/** Vectors of the hidden size and of the feed-forward block's that a token has at a time. */
const [hiddenVectors, wideVectors] = [4, 2];
/** Copies of a score at a time; distances between tokens add products of their own. */
const scoreCopies = 5;
const scoreCopiesRelative = 10;
/** A logit is copied from the runtime's memory into ours. */
const logitCopies = 2;

/** Some families list a size for each stage: then it is reckoned from the others. */
const size = z.int().positive().nullish().catch(null);
const SizesFile = z.looseObject({
  num_attention_heads: size,
  n_heads: size,
  n_head: size,
  num_heads: size,
  hidden_size: size,
  dim: size,
  d_model: size,
  n_embd: size,
});
/** Of all but a few encoders. */
const usualHeadWidth = 64;

/**
 * Of a file that we did not build: its attention takes all scores at once, a masked-lm gives every position's logits.
 */
function ofReadyMade({ config }: Checkpoint) {
  const sizes = SizesFile.parse(config);
  const hidden = sizes.hidden_size ?? sizes.dim ?? sizes.d_model ?? sizes.n_embd ?? 0;
  const named = sizes.num_attention_heads ?? sizes.n_heads ?? sizes.n_head ?? sizes.num_heads;
  const heads = named ?? Math.ceil(hidden / usualHeadWidth);
  return { hidden, heads, intermediate: 4 * hidden, relative: false, scoreBytes: null };
}

/** @param max bytes that one run may take */
export function runMemoryOf(
  checkpoint: Checkpoint,
  form: LoadedModel["form"],
  max: number,
): RunMemory {
  const readyMade = checkpoint.format === "onnx";
  const sizes = readyMade ? ofReadyMade(checkpoint) : attentionOf(checkpoint.config);
  const { hidden, heads, intermediate, relative } = sizes;
  const scoreBytes = form === "f16" ? null : sizes.scoreBytes;
  const copies = relative ? scoreCopiesRelative : scoreCopies;
  const { head, limits } = checkpoint;
  const logits = head.name === "masked-lm" ? limits.vocabularySize * floatBytes * logitCopies : 0;
  const states = floatBytes * (hiddenVectors * hidden + wideVectors * intermediate);
  return {
    perToken: states + (readyMade ? logits : 0),
    perPair: heads * floatBytes * copies,
    pairsMax: scoreBytes === null ? Infinity : scoreBytes * copies,
    perAsked: readyMade ? 0 : logits,
    max,
  };
}
