/**
 * Heads computed beside the graph: logits = W·x + b of one row's features. They cost little next to the backbone they
 * share (77 classes of 384 features: some 30 000 multiplications), and so one batch may hold the rows of any number of
 * heads.
 */
import type { LinearLayer } from "../model/linear-head.ts";
import type { PlainPooling } from "../model/pooling.ts";

/** @param features f32 `[features]` @returns f32 `[labels]` */
export function linearLogits(features: Float32Array, { weight, bias }: LinearLayer): Float32Array {
  const width = features.length;
  if (weight.length !== bias.length * width) {
    throw new RangeError(
      `a head of ${bias.length} labels and ${weight.length} weights cannot read ${width} features`,
    );
  }
  const logits = new Float32Array(bias);
  for (let label = 0, at = 0; label < logits.length; label += 1) {
    let sum = 0;
    for (let feature = 0; feature < width; feature += 1, at += 1) {
      sum += (weight[at] ?? 0) * (features[feature] ?? 0);
    }
    logits[label] = sum + (bias[label] ?? 0);
  }
  return logits;
}

/**
 * One vector of a row's token vectors, special tokens included, as the graph's `pooled` is made.
 * @param states f32 `[tokens, width]`, at least one token
 */
export function poolTokens(
  states: Float32Array,
  width: number,
  pooling: PlainPooling,
): Float32Array {
  const pooled = states.slice(0, width);
  if (pooling === "cls") return pooled;
  for (let at = width; at < states.length; at += 1) {
    const feature = at % width;
    const value = states[at] ?? 0;
    const before = pooled[feature] ?? 0;
    pooled[feature] = pooling === "max" ? Math.max(before, value) : before + value;
  }
  if (pooling === "max") return pooled;
  const tokens = states.length / width;
  return pooled.map((sum) => sum / tokens);
}
