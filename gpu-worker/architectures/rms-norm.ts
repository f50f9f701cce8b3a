/**
 * Root mean square normalisation (Zhang and Sennrich, https://arxiv.org/abs/1910.07467) with the checkpoint's scale.
 */
import type { Value } from "../onnx/value.ts";
import { padRows, sizeOf, storedSize } from "./feature-heads.ts";
import type { Features } from "./feature-heads.ts";
import type { Parameters } from "./parameters.ts";

export type RmsNormName = {
  /** `name`.weight, one for each of `features`. */
  readonly name: string;
  readonly features: Features;
  readonly epsilon: number;
  /** Added to the weights. */
  readonly offset: number;
};

/** Padded features are zeros and count in the operator's mean: the scale and the epsilon make up for them. */
function scaleOf(parameters: Parameters, { name, features, epsilon, offset }: RmsNormName) {
  const part = storedSize(features) / sizeOf(features);
  const stored = { name: `${name}.weight`, shape: [storedSize(features)] };
  const gain = Math.sqrt(part);
  const scale = parameters.combined([stored], [sizeOf(features)], ([weights]) =>
    padRows(weights?.map((weight) => (weight + offset) * gain) ?? new Float32Array(), features, 1),
  );
  return { scale, epsilon: epsilon * part };
}

/** `x` [..., features], normalised along its last axis. */
export function rmsNorm(parameters: Parameters, x: Value, norm: RmsNormName): Value {
  const { scale, epsilon } = scaleOf(parameters, norm);
  return x.op("SimplifiedLayerNormalization", [scale], { axis: -1, epsilon });
}

/** The sum of `x` and `y` [batch, sequence, features], and the sum normalised: one operator for both. */
export function addRmsNorm(
  parameters: Parameters,
  [x, y]: readonly [Value, Value],
  norm: RmsNormName,
): { readonly sum: Value; readonly normed: Value } {
  const { scale, epsilon } = scaleOf(parameters, norm);
  const name = "com.microsoft.SkipSimplifiedLayerNormalization";
  const [normed, , , sum] = parameters.graph.ops(name, [x, y, scale], { epsilon }, 4);
  if (normed === undefined || sum === undefined) throw new TypeError("it gives four");
  return { sum, normed };
}
