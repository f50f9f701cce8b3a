/**
 * The functions between the two layers of a feed-forward block, by the names configs use (`hidden_act`).
 */
import type { Value } from "../onnx/value.ts";

const gelu = (x: Value) => x.op("Gelu");
/** The names below differ in how PyTorch computes it, not in what. */
const geluByTanh = (x: Value) => x.op("Gelu", [], { approximate: "tanh" });
const quickGeluFactor = 1.702;

const activations = {
  gelu,
  gelu_python: gelu,
  gelu_new: geluByTanh,
  gelu_fast: geluByTanh,
  gelu_accurate: geluByTanh,
  gelu_pytorch_tanh: geluByTanh,
  gelu_python_tanh: geluByTanh,
  quick_gelu: (x: Value) => x.mul(x.mul(quickGeluFactor).op("Sigmoid")),
  relu: (x: Value) => x.op("Relu"),
  silu: (x: Value) => x.mul(x.op("Sigmoid")),
  swish: (x: Value) => x.mul(x.op("Sigmoid")),
  tanh: (x: Value) => x.tanh(),
  sigmoid: (x: Value) => x.op("Sigmoid"),
  linear: (x: Value) => x,
} as const;

export type ActivationName = keyof typeof activations;

export const activationNames = Object.keys(activations) as [ActivationName, ...ActivationName[]];

export function activate(name: ActivationName, x: Value): Value {
  return activations[name](x);
}
