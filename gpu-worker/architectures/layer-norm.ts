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
  const scale = parameters.constant(`${name}.weight`, [width]);
  const shift = parameters.constant(`${name}.bias`, [width]);
  return x.op("LayerNormalization", [scale, shift], { axis: -1, epsilon });
}
