/**
 * The functions between the two layers of a feed-forward block, by the names configs use (`hidden_act`).
 */
import type { Value } from "../onnx/value.ts";

const activations = {
  gelu: (x: Value) => x.op("Gelu"),
  gelu_new: (x: Value) => x.op("Gelu", [], { approximate: "tanh" }),
  gelu_pytorch_tanh: (x: Value) => x.op("Gelu", [], { approximate: "tanh" }),
  relu: (x: Value) => x.op("Relu"),
  silu: (x: Value) => x.mul(x.op("Sigmoid")),
  swish: (x: Value) => x.mul(x.op("Sigmoid")),
  tanh: (x: Value) => x.tanh(),
} as const;

export type ActivationName = keyof typeof activations;

export const activationNames = Object.keys(activations) as [ActivationName, ...ActivationName[]];

export function activate(name: ActivationName, x: Value): Value {
  return activations[name](x);
}
