/**
 * Gradients of activations. GELU is x·Φ(x), Φ the normal distribution (Hendrycks and Gimpel,
 * https://arxiv.org/abs/1606.08415), or its approximation by tanh.
 */
import type { Value } from "../../onnx/value.ts";
import type { BackwardNode, Rule } from "../backward-node.ts";
import { where } from "./arithmetic.ts";

/** √(2/π), and the cubic term's factor. */
const tanhScale = Math.sqrt(2 / Math.PI);
const tanhCubic = 0.044715;

/** Φ(x) + x·φ(x) = ½(1 + erf u + 2u/√π / exp u²), u = x/√2, in as few passes over the elements as there are. */
function geluByErf(at: BackwardNode, x: Value): Value {
  const u = x.mul(Math.SQRT1_2);
  const slope = u.div(u.mul(u).op("Exp")).mul(2 / Math.sqrt(Math.PI));
  return at.dy().mul(0.5).mul(u.op("Erf").add(slope).add(1));
}

/** ½(1 + t) + ½x(1 − t²)·u′(x), t = tanh(u(x)), u = √(2/π)(x + 0.044715x³). */
function geluByTanh(at: BackwardNode, x: Value): Value {
  const square = x.mul(x);
  const t = x.mul(square.mul(tanhScale * tanhCubic).add(tanhScale)).tanh();
  const inner = x.mul(square.mul(3 * tanhScale * tanhCubic).add(tanhScale));
  const slope = inner.sub(inner.mul(t.mul(t)));
  return at.dy().mul(0.5).mul(t.add(slope).add(1));
}

function isByTanh(at: BackwardNode): boolean {
  const attribute = at.attribute("approximate");
  return attribute?.kind === "string" && attribute.value === "tanh";
}

/** With a bias or without: both terms of the sum have the sum's gradient. */
function biased(gelu: (at: BackwardNode, x: Value) => Value): Rule {
  return (at) => {
    const sum = () => (at.optional(1) === null ? at.x() : at.x().add(at.x(1)));
    return at.node.inputs.map(() => () => gelu(at, sum()));
  };
}

/** x·σ(αx): σ(1 + αx(1 − σ)). */
const quickGelu: Rule = (at) => [
  () => {
    const attribute = at.attribute("alpha");
    const alpha = attribute?.kind === "float" ? attribute.value : 1.702;
    const sigmoid = at.x().mul(alpha).op("Sigmoid");
    const y = at.y();
    return at.dy().mul(sigmoid.add(y.sub(y.mul(sigmoid)).mul(alpha)));
  },
];

export const activations = {
  Relu: (at) => [
    () => where(at.y().op("Greater", [at.builder.scalar(at.y().dtype, 0)]), at.dy(), at),
  ],
  Tanh: (at) => [() => at.dy().sub(at.dy().mul(at.y().mul(at.y())))],
  Sigmoid: (at) => [() => at.dy().mul(at.y().sub(at.y().mul(at.y())))],
  Gelu: (at) => [() => (isByTanh(at) ? geluByTanh : geluByErf)(at, at.x())],
  "com.microsoft.Gelu": (at) => [() => geluByErf(at, at.x())],
  "com.microsoft.BiasGelu": biased(geluByErf),
  "com.microsoft.FastGelu": biased(geluByTanh),
  "com.microsoft.QuickGelu": quickGelu,
} as const satisfies Readonly<Record<string, Rule>>;
