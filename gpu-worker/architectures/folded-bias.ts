/**
 * Biases of linear layers whose weights are constants: what of them can be computed before a graph runs is.
 */
import type { DenseShape, LayerName } from "./linear-layers.ts";
import { tensorsOf } from "./linear-layers.ts";
import type { Parameters } from "./parameters.ts";

export type FoldedBias = {
  readonly name: string;
  /** What to make of the checkpoint's. */
  readonly fold: (bias: Float32Array) => Float32Array;
};

/** The bias plus W·(the bias of the layer `from`, whose outputs this layer reads through a softmax that sums to 1). */
function passThrough(parameters: Parameters, weight: string, from: string): FoldedBias["fold"] {
  const deferred = tensorsOf(from).bias;
  // Looked up now: what a build has not looked up counts as unread.
  parameters.shapeOf(deferred);
  return (bias) => {
    const matrix = parameters.elements(weight);
    const input = parameters.elements(deferred);
    const row = (at: number) => matrix.subarray(at * input.length, (at + 1) * input.length);
    return bias.map((start, at) =>
      row(at).reduce((sum, element, column) => sum + element * (input[column] ?? 0), start),
    );
  };
}

/** Null: nothing is added. */
export function foldedBias(
  parameters: Parameters,
  layer: LayerName,
  { bias, gain = 1 }: DenseShape,
): FoldedBias | null {
  const { weight, bias: name } = tensorsOf(layer);
  if (bias === undefined) {
    return { name, fold: (own) => (gain === 1 ? own : own.map((element) => element * gain)) };
  }
  if (typeof bias === "string") return null;
  return { name, fold: passThrough(parameters, weight, bias.takes) };
}
