/**
 * Gradients of what folds axes: every element of an axis gets the gradient of what it was folded into.
 */
import type { Value } from "../../onnx/value.ts";
import type { BackwardNode, Rule } from "../backward-node.ts";

/** Least positive normal float32, in place of a length of 0: the gradient there is 0, as PyTorch's. */
const lengthMin = 2 ** -126;

function axesOf(at: BackwardNode): readonly number[] {
  const { rank } = at;
  const all = Array.from({ length: rank }, (_, axis) => axis);
  const given = at.optional(1) === null ? [] : at.numbers(1);
  if (given.length > 0) return given.map((axis) => at.axis(axis, rank));
  return at.int("noop_with_empty_axes", 0) === 1 ? [] : all;
}

/** With folded axes of length 1, so that it broadcasts to what was folded. */
function kept(at: BackwardNode, value: Value): Value {
  const axes = axesOf(at);
  return at.int("keepdims", 1) === 1 || axes.length === 0 ? value : value.unsqueeze(axes);
}

/** How many elements were folded into one, of the result's dtype. */
function countOf(at: BackwardNode): Value | number {
  const axes = axesOf(at);
  const lengths = axes.map((axis) => at.input(0).shape[axis]);
  const numbers = lengths.filter((length) => typeof length === "number");
  if (numbers.length === lengths.length) return numbers.reduce((a, b) => a * b, 1);
  const length = (axis: number) => at.x().op("Shape").gather(at.builder.scalar("int64", axis), 0);
  return axes
    .map(length)
    .reduce((a, b) => a.mul(b))
    .cast(at.input(0).dtype);
}

/** Elements that are alike share the gradient evenly, as torch.amax has it. */
const extreme: Rule = (at) => [
  () => {
    const chosen = at
      .x()
      .op("Equal", [kept(at, at.y())])
      .cast(at.x().dtype);
    return chosen.mul(kept(at, at.dy()).div(chosen.sum(axesOf(at), true)));
  },
  null,
];

const cumulativeSum: Rule = (at) => [
  () =>
    at.dy().op("CumSum", [at.x(1)], {
      exclusive: at.int("exclusive", 0),
      reverse: 1 - at.int("reverse", 0),
    }),
  null,
];

export const reductions = {
  ReduceSum: (at) => [() => kept(at, at.dy()), null],
  ReduceMean: (at) => [() => kept(at, at.dy()).div(countOf(at)), null],
  ReduceSumSquare: (at) => [() => at.x().mul(kept(at, at.dy()).mul(2)), null],
  ReduceL2: (at) => [
    () => at.x().div(kept(at, at.y()).max(lengthMin)).mul(kept(at, at.dy())),
    null,
  ],
  ReduceMax: extreme,
  ReduceMin: extreme,
  CumSum: cumulativeSum,
} as const satisfies Readonly<Record<string, Rule>>;
