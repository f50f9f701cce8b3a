/** Heads of one matrix that are computed beside the graph of a backbone which others share. */
import type { HeadPooling } from "./pooling.ts";

/** logits = W·x + b. */
export type LinearLayer = {
  /** [labels, features]. */
  readonly weight: Float32Array;
  /** [labels]. */
  readonly bias: Float32Array;
};

/** Its features are the hidden size, three times that for spans. */
export type LinearHead = LinearLayer & { readonly pooling: HeadPooling };
