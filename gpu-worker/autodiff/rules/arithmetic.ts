/**
 * Gradients of arithmetic and functions of one value. Where a function has a corner, the gradient there is PyTorch's.
 */
import { isFloat } from "../../tensor/dtype.ts";
import type { Value } from "../../onnx/value.ts";
import type { BackwardNode, Rule } from "../backward-node.ts";

/** `y` is the result: many derivatives are cheaper by it than by `x`. */
type Derivative = (x: () => Value, y: () => Value, at: BackwardNode) => Value;

function times(derivative: Derivative): Rule {
  return (at) => [
    () =>
      at.dy().mul(
        derivative(
          () => at.x(),
          () => at.y(),
          at,
        ),
      ),
  ];
}

/** `value` where `condition` holds, else 0. */
export function where(condition: Value, value: Value, at: BackwardNode): Value {
  return at.builder.op("Where", [condition, value, at.builder.scalar(value.dtype, 0)]);
}

/** What is chosen gets the gradient; inputs that are alike share it evenly, as torch.maximum has it. */
const extreme: Rule = (at) => {
  const chosen = (index: number) => at.x(index).op("Equal", [at.y()]);
  const indices = at.node.inputs.map((_, index) => index);
  const share = () =>
    at
      .dy()
      .div(indices.map((index) => chosen(index).cast(at.y().dtype)).reduce((a, b) => a.add(b)));
  return indices.map((index) => () => where(chosen(index), share(), at));
};

/** torch.clamp's by numbers, of 2.15: nothing flows at a bound itself. */
const clip: Rule = (at) => [
  () => {
    const [least, most] = [1, 2].map((index) => (at.optional(index) === null ? null : at.x(index)));
    const above = least && at.x().op("Greater", [least]);
    const below = most && at.x().op("Less", [most]);
    const inside = above && below ? above.op("And", [below]) : (above ?? below);
    return inside ? where(inside, at.dy(), at) : at.dy();
  },
  null,
  null,
];

/** p·x^(p−1), and 0 for p = 0 whatever x is. The exponent must not depend on a parameter. */
const power: Rule = (at) => [
  () => {
    const exponent = at.x(1).cast(at.x().dtype);
    const slope = exponent.mul(at.x().op("Pow", [exponent.sub(1)]));
    const constant = exponent.op("Equal", [at.builder.scalar(exponent.dtype, 0)]).op("Not");
    return where(constant, at.dy().mul(slope), at);
  },
];

export const arithmetic = {
  Add: (at) => [() => at.dy(), () => at.dy()],
  Sub: (at) => [() => at.dy(), () => at.dy().neg()],
  Mul: (at) => [() => at.dy().mul(at.x(1)), () => at.dy().mul(at.x(0))],
  Div: (at) => [() => at.dy().div(at.x(1)), () => at.dy().mul(at.y()).div(at.x(1)).neg()],
  Max: extreme,
  Min: extreme,
  Pow: power,
  Clip: clip,
  Where: (at) => [
    null,
    () => where(at.x(0), at.dy(), at),
    () => at.builder.op("Where", [at.x(0), at.builder.scalar(at.dy().dtype, 0), at.dy()]),
  ],
  Identity: (at) => [() => at.dy()],
  Cast: (at) => {
    const { dtype } = at.input(0);
    return [isFloat(dtype) ? () => at.dy().cast(dtype) : null];
  },
  Neg: (at) => [() => at.dy().neg()],
  Abs: times((x) => x().op("Sign")),
  Sqrt: (at) => [() => at.dy().div(at.y().mul(2))],
  Reciprocal: times((_, y) => y().mul(y()).neg()),
  Exp: times((_, y) => y()),
  Log: (at) => [() => at.dy().div(at.x())],
  Sin: times((x) => x().op("Cos")),
  Cos: times((x) => x().op("Sin").neg()),
  Erf: times((x) =>
    x()
      .mul(x())
      .neg()
      .op("Exp")
      .mul(2 / Math.sqrt(Math.PI)),
  ),
} as const satisfies Readonly<Record<string, Rule>>;
