/**
 * The linear layers of an encoder in one compute form. What a form does to its inputs before a product (int8 rounds them)
 * is done once for all layers that read them. Rows are tokens: [tokens, features].
 */
import type { Value } from "../onnx/value.ts";

export type LayerShape = { readonly inputs: number; readonly outputs: number };

export type DenseShape = LayerShape & {
  /** What to make of the checkpoint's bias. */
  readonly bias?: (bias: Float32Array) => Float32Array;
};

export type HeadsShape = LayerShape & {
  readonly heads: number;
  /** Factor of the result, folded into the weights. Default 1. */
  readonly gain?: number;
};

/** What is known of the inputs' range, so that they can be rounded finely: any values, or none below `least`. */
export type Range = { readonly least: number } | null;

export type LinearLayers = {
  /** Layers that all read `x` [tokens, in]. */
  on(x: Value, range?: Range): LayersOnInput;
};

/** A layer is the checkpoint's `name`.weight [out, in] and `name`.bias [out]. */
export type LayersOnInput = {
  /** x·Wᵀ + b, [tokens, out]. */
  dense(name: string, shape: DenseShape): Value;
  /** x·Wᵀ without bias, as [heads, tokens, out / heads]. */
  heads(name: string, shape: HeadsShape): Value;
};
