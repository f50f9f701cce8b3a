/**
 * Layer normalisation with the checkpoint's scale and shift.
 */
import type { Value } from "../onnx/value.ts";
import type { Parameters } from "./parameters.ts";

export type NormName = {
  /** `name`.weight and `name`.bias, [width]. */
  readonly name: string;
  readonly width: number;
  readonly epsilon: number;
};

/** `x` [tokens, width], normalised along its last axis. */
export function layerNorm(parameters: Parameters, x: Value, norm: NormName): Value {
  const { name, width, epsilon } = norm;
  const scale = parameters.tensor(`${name}.weight`, [width]);
  const shift = parameters.tensor(`${name}.bias`, [width]);
  return x.op("LayerNormalization", [scale, shift], { axis: -1, epsilon });
}
