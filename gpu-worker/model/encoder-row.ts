/** What a model is given to run, and what it gives back. */
import type { OutputName } from "./encoder-session.ts";

/** One sequence for a model to run. */
export type EncoderRow = {
  /** With special tokens. */
  readonly ids: readonly number[];
  /** Segment of each token. Absent: all 0. */
  readonly typeIds?: readonly number[];
  /** Shape of each token's word (word-shapes.ts), for a model that reads them. Absent: all 0. */
  readonly shapes?: readonly number[];
  readonly outputs: readonly OutputName[];
  /** For a masked-lm: the tokens whose logits are wanted. */
  readonly positions?: readonly number[];
  /** For a sentence encoder: so many first tokens, a prompt's, are left out of the vector. Absent: none. */
  readonly unpooled?: number;
  /** The adapter of low rank that it is run with, as its session counts them. Absent: 0, none. */
  readonly adapter?: number;
};

/** Each output asked for, of one row: see `OutputName`. Copied out of the batch. */
export type RowResult = Partial<Record<OutputName, Float32Array>>;
