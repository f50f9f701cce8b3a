/**
 * What a decoder multiplies by its weights. Layers that read the same input are one product: a step of decoding reads
 * every weight once and computes little, so that fewer and larger products are faster.
 */
import type { Value } from "../onnx/value.ts";
import type { Features } from "./feature-heads.ts";

export const projectionKinds = ["queryKeyValue", "attentionOutput", "gateUp", "down"] as const;
export type ProjectionKind = (typeof projectionKinds)[number];

/** One of each kind in each block. */
export type Projection = {
  readonly kind: ProjectionKind;
  /** Index of its block. */
  readonly block: number;
  readonly inputs: Features;
  /** The checkpoint's `name`.weight [outputs, inputs] and, with biases, `name`.bias [outputs]. */
  readonly layers: readonly { readonly name: string; readonly outputs: Features }[];
  readonly bias: boolean;
};

/** The checkpoint's tensor `name`: a row of `columns` for each word of the vocabulary. */
export type WordTable = {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
};

export type DecoderProducts = {
  /** What all layers give for `x` [batch, sequence, inputs], side by side, [batch, sequence, outputs]. */
  readonly project: (x: Value, projection: Projection) => Value;
  /** The rows at `ids` int64 [batch, sequence]. */
  readonly embed: (ids: Value, table: WordTable) => Value;
  /** The products of `x` [asked, columns] with all rows, [asked, rows]. */
  readonly score: (x: Value, table: WordTable) => Value;
};
