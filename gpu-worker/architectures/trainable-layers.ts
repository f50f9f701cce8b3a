/**
 * Linear layers that can be trained: weights as they are stored, so that a gradient has their shape and a tuned tensor
 * is saved as it is; nothing is folded. A layer that has an adapter of low rank (Hu et al., LoRA,
 * https://arxiv.org/abs/2106.09685) adds s·(x·Aᵀ)·Bᵀ to its product; the names are PEFT's.
 */
import type { Value } from "../onnx/value.ts";
import { tensorsOf } from "./linear-layers.ts";
import type { DenseShape, LayerName, LayersOnInput, LinearLayers } from "./linear-layers.ts";
import type { Parameters } from "./parameters.ts";

/** What PEFT puts before all names of a tuned model. */
export const peftPrefix = "base_model.model.";

/** As `Parameters` takes them: a checkpoint's own, and those that PEFT writes. */
export function trainingPrefixes(prefixes: readonly string[]): string[] {
  return [...prefixes, ...["", ...prefixes].map((prefix) => peftPrefix + prefix)];
}

/** x·Wᵀ + added, times a factor for the product alone. */
function product(x: Value, weight: Value, added: Value | null, factor: number): Value {
  const factors = factor === 1 ? {} : { alpha: factor };
  return x.op("Gemm", [weight, added], { transB: 1, ...factors });
}

/** @param loraScale s, alpha / r as PEFT has it; read where the checkpoint holds adapters */
export function trainableLayers(parameters: Parameters, loraScale: number): LinearLayers {
  function adapted(x: Value, y: Value, layer: string, { inputs, outputs }: DenseShape): Value {
    const [down, up] = [`${layer}.lora_A.weight`, `${layer}.lora_B.weight`];
    if (!parameters.has(down)) return y;
    const rank = parameters.shapeOf(down)[0] ?? 0;
    const reduced = product(x, parameters.tensor(down, [rank, inputs]), null, 1);
    return product(reduced, parameters.tensor(up, [outputs, rank]), y, loraScale);
  }

  function dense(x: Value, layer: LayerName, shape: DenseShape): Value {
    const { inputs, outputs, gain = 1, bias } = shape;
    const names = tensorsOf(layer);
    const weight = parameters.tensor(names.weight, [outputs, inputs]);
    const added = bias === "none" ? null : parameters.tensor(names.bias, [outputs]);
    const y = product(x, weight, added, 1);
    const whole = typeof layer === "string" ? adapted(x, y, layer, shape) : y;
    return gain === 1 ? whole : whole.mul(gain);
  }

  return {
    on: (x): LayersOnInput => ({ dense: (layer, shape) => dense(x, layer, shape) }),
  };
}
