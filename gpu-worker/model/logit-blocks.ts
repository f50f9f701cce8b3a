/**
 * What a row of logits amounts to in blocks of neighbouring tokens: of a whole vocabulary, a sampler then reads a few
 * blocks. Computed by the session of graphs/open-logit-blocks.ts.
 */
import type { Tensor } from "../tensor/tensor.ts";

export const logitBlockTokens = 64;

/** Inputs and outputs of the session. */
export const logitBlockNames = {
  /** f32 [rows, vocabulary]. */
  logits: "logits",
  /** f32 [rows]: 1 / temperature. */
  inverseTemperatures: "inverse_temperatures",
  maxima: "maxima",
  sums: "sums",
} as const;

/** Of one row, or of those of a run one after the other. */
export type LogitBlocks = {
  /** The highest logit of each block, f32 [rows, blocks]; anything in a row that has a NaN. */
  readonly maxima: Float32Array;
  /**
   * Of exp((logit − highest) / temperature), the highest being the row's, f32 [rows, blocks]: the same to the bit
   * whatever rows are beside it. Not all finite in a row that has a NaN or +Infinity, or nothing but -Infinity.
   */
  readonly sums: Float32Array;
};

/** Of what the session gives. */
export function logitBlocksOf(found: Readonly<Record<string, Tensor>>): LogitBlocks {
  const { [logitBlockNames.maxima]: maxima, [logitBlockNames.sums]: sums } = found;
  if (maxima?.dtype !== "float32" || sums?.dtype !== "float32") {
    throw new TypeError("blocks of logits are float32");
  }
  return { maxima: maxima.data, sums: sums.data };
}
