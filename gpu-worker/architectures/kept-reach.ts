/**
 * Keys and values kept in int8: each feature of a head in 127 steps on either side of 0, up to the largest that some
 * texts were seen to have. What lies beyond is cut off there. A quarter of the memory, and on a CPU long texts are read
 * faster; a calibration has to come first, because the operator takes these scales as constants.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import { tensor } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Heads } from "./feature-heads.ts";

/** Largest magnitude kept of a layer, by head and feature, [key-value heads · head]. */
export type LayerReach = { readonly key: Float32Array; readonly value: Float32Array };

const kinds = ["key", "value"] as const;

/**
 * What texts that were seen leave to others: SmolLM2 on other texts than those it was measured on lost half as much as
 * with 1.1, and on the same ones twice as much.
 */
const margin = 1.5;
const levelMax = 127;
/** Features that are always 0 must not divide by it. */
const scaleMin = 1e-6;

function extend(reach: Float32Array, state: Tensor | undefined): void {
  if (state?.dtype !== "float32") throw new TypeError("keys and values are measured in f32");
  const [, , length = 0, width = 0] = state.shape;
  for (const [at, element] of state.data.entries()) {
    const head = Math.floor(at / (length * width)) % (reach.length / width);
    const feature = head * width + (at % width);
    reach[feature] = Math.max(reach[feature] ?? 0, Math.abs(element));
  }
}

/** @param texts `present.N.key` and `.value` f32 of texts that were read, of nothing else */
export function measureReach(texts: readonly Readonly<Record<string, Tensor>>[]): LayerReach[] {
  const layers: LayerReach[] = [];
  for (const states of texts) {
    for (let layer = 0; `present.${layer}.key` in states; layer++) {
      const [, heads = 0, , width = 0] = states[`present.${layer}.key`]?.shape ?? [];
      const none = () => new Float32Array(heads * width);
      const reach = (layers[layer] ??= { key: none(), value: none() });
      for (const kind of kinds) extend(reach[kind], states[`present.${layer}.${kind}`]);
    }
  }
  return layers;
}

/** f32 [key-value heads, 1, head] for keys and values. */
export function reachScales(graph: GraphBuilder, reach: LayerReach, heads: Heads): Value[] {
  return kinds.map((kind) => {
    const scales = reach[kind].map((most) => Math.max((most * margin) / levelMax, scaleMin));
    const shape = [heads.count, 1, heads.padded];
    return graph.constant(tensor("float32", shape, scales), graph.uniqueName(`scales.${kind}`));
  });
}

/** Attributes of the operator that keeps them so. */
export const reachAttributes = {
  k_quant_type: "PER_CHANNEL",
  v_quant_type: "PER_CHANNEL",
  kv_cache_bit_width: 8,
};
