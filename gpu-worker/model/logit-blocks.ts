/**
 * What a row of logits amounts to in blocks of neighbouring tokens: of a whole vocabulary, a sampler then reads a few
 * blocks. Computed by the session of graphs/open-logit-blocks.ts.
 */

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
