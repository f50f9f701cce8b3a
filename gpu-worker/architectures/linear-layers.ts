/**
 * The linear layers of an encoder in one compute form. What a form does to its inputs before a product (int8 rounds
 * them) is done once for all layers that read them. Rows are tokens: [tokens, features].
 */
import type { Value } from "../onnx/value.ts";

export type LayerShape = { readonly inputs: number; readonly outputs: number };

export type DenseShape = LayerShape & {
  /** What to make of the checkpoint's bias; null to leave it out. Default: as it is. */
  readonly bias?: ((bias: Float32Array) => Float32Array) | null;
  /** Factor of x·Wᵀ, folded into the weights; a bias is not multiplied. Default 1. */
  readonly gain?: number;
};

/** What is known of a layer's inputs before it is built. */
export type LayerInput = {
  /** The names of all layers that will read it. */
  readonly readers: readonly string[];
  /** No element lies below this, so that rounding need not keep room there. */
  readonly least?: number;
  /** A few channels reach much further than the rest, as in an encoder's hidden states. */
  readonly uneven?: boolean;
};

export type LinearLayers = {
  /** Layers that all read `x` [tokens, in]. */
  on(x: Value, input: LayerInput): LayersOnInput;
};

/** A layer is the checkpoint's `name`.weight [out, in] and `name`.bias [out]. */
export type LayersOnInput = {
  /** gain·x·Wᵀ + bias, [tokens, out]. */
  dense(name: string, shape: DenseShape): Value;
};
