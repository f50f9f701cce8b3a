/**
 * How the layers of an encoder are computed: a form of constants that serves, or one that trains.
 */
import type { Value } from "../onnx/value.ts";
import { f32Layers } from "./f32-layers.ts";
import type { LinearLayers } from "./linear-layers.ts";
import type { Parameters } from "./parameters.ts";

/** Where BERT leaves elements out by chance while it trains. */
export type Dropout = {
  /** What the embedding and each block give. */
  readonly hidden: (x: Value) => Value;
  /** How much a token attends to each. */
  readonly attention: (probabilities: Value) => Value;
  /** What a classifier reads. */
  readonly head: (x: Value) => Value;
};

export const noDropout: Dropout = { hidden: (x) => x, attention: (x) => x, head: (x) => x };

export type LayerForms = {
  /** Of the encoder's own layers. */
  readonly layers: LinearLayers;
  /** Of those that are small, or that callers see the results of: in f32 always. */
  readonly exact: LinearLayers;
  readonly dropout: Dropout;
};

/** @param layers Default: f32 too */
export function servedForms(parameters: Parameters, layers = f32Layers(parameters)): LayerForms {
  return { layers, exact: f32Layers(parameters), dropout: noDropout };
}
