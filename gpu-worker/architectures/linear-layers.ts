/**
 * The linear layers of an encoder in one compute form. What a form does to its inputs before a product (int8 rounds
 * them) is done once for all layers that read them. Rows are tokens: [tokens, features].
 */
import type { Value } from "../onnx/value.ts";

export type LayerShape = { readonly inputs: number; readonly outputs: number };

/**
 * What a layer's bias does, so that a form of constants can fold it away; a trainable one adds each where it stands.
 *
 * - `none`: the checkpoint has none.
 * - `idle`: it changes no result.
 * - `deferred`: a layer further on, which names this one in `takes`, can add it through its own weights.
 */
export type Bias = "none" | "idle" | "deferred" | { readonly takes: string };

export type DenseShape = LayerShape & {
  /** Default: the layer's own, added here. */
  readonly bias?: Bias;
  /** Factor of the whole layer. Default 1. */
  readonly gain?: number;
};

/** The checkpoint's `name`.weight [out, in] and `name`.bias [out], or tensors of other names. */
export type LayerName = string | { readonly weight: string; readonly bias: string };

export function tensorsOf(name: LayerName): { readonly weight: string; readonly bias: string } {
  return typeof name === "string" ? { weight: `${name}.weight`, bias: `${name}.bias` } : name;
}

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

export type LayersOnInput = {
  /** gain·(x·Wᵀ + bias), [tokens, out]. */
  dense(name: LayerName, shape: DenseShape): Value;
};
