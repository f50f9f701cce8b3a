/**
 * Gradients of what moves elements without changing them: back to where they came from, zeros where nothing was taken.
 */
import type { Value } from "../../onnx/value.ts";
import { reshapeLike } from "../backward-node.ts";
import type { BackwardNode, Rule } from "../backward-node.ts";

const reshaped: Rule = (at) => [() => reshapeLike(at.builder, at.dy(), at.x()), null];

const transpose: Rule = (at) => [
  () => {
    const { rank } = at;
    const perm = at.ints("perm") ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
    return at.dy().transpose(perm.map((_, axis) => perm.indexOf(axis)));
  },
];

/** Length of `value` along `axis`, int64 [1]. */
function lengthOf(value: Value, axis: number): Value {
  return value.op("Shape", [], { start: axis, end: axis + 1 });
}

const concat: Rule = (at) => {
  const axis = at.axis(at.int("axis", 0), at.rank);
  const indices = at.node.inputs.map((_, index) => index);
  const parts = () => {
    const lengths = indices.map((index) => at.input(index).shape[axis]);
    const numbers = lengths.filter((length) => typeof length === "number");
    const sizes =
      numbers.length === lengths.length
        ? at.builder.integers(numbers)
        : at.builder.op(
            "Concat",
            indices.map((index) => lengthOf(at.x(index), axis)),
            { axis: 0 },
          );
    return at.builder.ops("Split", [at.dy(), sizes], { axis }, indices.length);
  };
  let made: Value[] | null = null;
  return indices.map((index) => () => {
    made ??= parts();
    return made[index] ?? at.fail(`it has no input ${index}`);
  });
};

const split: Rule = (at) => [
  () => {
    const axis = at.axis(at.int("axis", 0), at.rank);
    const parts = at.node.outputs.map((_, index) => at.dy(index));
    return at.builder.op("Concat", parts, { axis });
  },
  null,
];

/** Where along `axis` a cut begins, int64 [1]: counted from the front, and inside. */
function startOf(at: BackwardNode, start: Value, axis: number): Value {
  const [known] = start.type.elements ?? [];
  if (typeof known === "number" && known >= 0) return start;
  const length = lengthOf(at.x(), axis);
  const counted = at.builder.op("Where", [
    start.op("Less", [at.builder.scalar("int64", 0)]),
    start.add(length),
    start,
  ]);
  return counted.max(0).op("Min", [length]);
}

/** The cut with zeros around it. Every step must be 1. */
const slice: Rule = (at) => [
  () => {
    const count = at.elements(1)?.length ?? Number(at.input(1).shape[0]);
    const given =
      at.optional(3) === null ? Array.from({ length: count }, (_, i) => i) : at.numbers(3);
    if (at.optional(4) !== null && at.numbers(4).some((step) => step !== 1)) {
      at.fail("a step that is not 1 has no gradient");
    }
    const axes = given.map((axis) => at.axis(axis, at.rank));
    const starts = axes.map((axis, which) => startOf(at, at.x(1).slice(0, which, which + 1), axis));
    const ends = axes.map((axis, which) => {
      const start = starts[which] ?? at.fail("it has no start");
      return lengthOf(at.x(), axis).sub(start).sub(lengthOf(at.dy(), axis));
    });
    const pads = at.builder.op("Concat", [...starts, ...ends], { axis: 0 });
    return at.dy().op("Pad", [pads, null, at.builder.integers(axes)]);
  },
  null,
  null,
  null,
  null,
];

export const layout = {
  Reshape: reshaped,
  Flatten: reshaped,
  Unsqueeze: reshaped,
  Squeeze: reshaped,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
  Expand: (at) => [() => at.dy(), null],
} as const satisfies Readonly<Record<string, Rule>>;
