/**
 * Operators that move elements without changing them: shapes, axes, joins, cuts, look-ups.
 */
import type { Inferred, NodeView, Operator, OperatorRows } from "../operator.ts";
import { addDims, broadcastSymbolic, divideDims, fits, multiplyDims } from "../symbolic-shape.ts";
import { unknownDim, shapeText } from "../symbolic-shape.ts";
import type { Dim, SymbolicShape } from "../symbolic-shape.ts";
import { anything } from "./elementwise.ts";

/** An end from here on means "to the end". */
const toTheEnd = 2 ** 31 - 1;

const indexTypes = ["int64", "int32"] as const;

const shapeOf: Operator = {
  inputs: [1, 1],
  attributes: { start: "int", end: "int" },
  infer: (node) => {
    const { shape } = node.input(0);
    const part = shape.slice(node.int("start", 0), node.int("end", shape.length));
    return { dtype: "int64", shape: [part.length], elements: part };
  },
};

/** Places −1 and 0 of a Reshape's target. */
function reshaped(node: NodeView, from: SymbolicShape, target: readonly Dim[]): SymbolicShape {
  const keepZero = node.int("allowzero", 0) === 1;
  const copied = target.map((dim, axis) => {
    if (dim !== 0 || keepZero) return dim;
    return from[axis] ?? node.fail(`0 at axis ${axis} copies an axis that is not there`);
  });
  const rest = copied.filter((dim) => dim !== -1);
  if (copied.length - rest.length > 1) node.fail("more than one −1 in the target");
  const missing = divideDims(from, rest);
  const whole =
    rest.length === copied.length ? missing === 1 || missing === unknownDim : missing !== null;
  if (!whole) node.fail(`${shapeText(from)} cannot become ${shapeText(target)}`);
  return copied.map((dim) => (dim === -1 ? (missing ?? unknownDim) : dim));
}

const reshape: Operator = {
  inputs: [2, 2],
  attributes: { allowzero: "int" },
  infer: (node) => {
    const { dtype, shape } = node.input(0);
    node.expect(1, ["int64"]);
    const length = node.expectRank(1, 1).shape[0];
    const unknown = Array.from(
      { length: typeof length === "number" ? length : 1 },
      () => unknownDim,
    );
    const target = node.elements(1);
    return { dtype, shape: target === null ? unknown : reshaped(node, shape, target) };
  },
};

const transpose: Operator = {
  inputs: [1, 1],
  attributes: { perm: "ints" },
  infer: (node) => {
    const { dtype, shape } = node.input(0);
    const order = node.ints("perm") ?? shape.map((_, axis) => shape.length - 1 - axis);
    if (order.length !== shape.length || new Set(order).size !== order.length) {
      node.fail(`perm ${order.join(", ")} does not order ${shape.length} axes`);
    }
    return {
      dtype,
      shape: order.map((axis) => shape[node.axis(axis, shape.length)] ?? unknownDim),
    };
  },
};

function withElements(type: Inferred, elements: readonly Dim[] | undefined): Inferred {
  return elements === undefined ? type : { ...type, elements };
}

const unsqueeze: Operator = {
  inputs: [2, 2],
  infer: (node) => {
    const { dtype, shape, elements } = node.input(0);
    const rank = shape.length + node.numbers(1).length;
    const added = new Set(node.numbers(1).map((axis) => node.axis(axis, rank)));
    const kept = shape[Symbol.iterator]();
    const out = Array.from({ length: rank }, (_, axis) =>
      added.has(axis) ? 1 : (kept.next().value ?? unknownDim),
    );
    return withElements({ dtype, shape: out }, elements);
  },
};

const squeeze: Operator = {
  inputs: [1, 2],
  infer: (node) => {
    const { dtype, shape, elements } = node.input(0);
    const axes = node.optional(1) === null ? null : node.numbers(1);
    const gone = new Set(axes?.map((axis) => node.axis(axis, shape.length)));
    if ([...gone].some((axis) => !fits(shape[axis] ?? 1, 1))) {
      node.fail(`${shapeText(shape)} is not 1 long at axes ${[...gone].join(", ")}`);
    }
    const out = shape.filter((dim, axis) => (axes === null ? dim !== 1 : !gone.has(axis)));
    return withElements({ dtype, shape: out }, elements);
  },
};

const concat: Operator = {
  inputs: [1, Infinity],
  attributes: { axis: "int" },
  infer: (node) => {
    const dtype = node.expectOneDtype(node.inputs.map((_, index) => index));
    const first = node.input(0).shape;
    const axis = node.axis(node.int("axis", 0), first.length);
    const matches = ({ shape }: Inferred) =>
      shape.length === first.length &&
      shape.every((dim, at) => at === axis || fits(dim, first[at] ?? 1));
    const odd = node.inputs.find((input) => !matches(input));
    if (odd) node.fail(`${shapeText(odd.shape)} does not join ${shapeText(first)} at axis ${axis}`);
    const length = node.inputs.map(({ shape }) => shape[axis] ?? unknownDim).reduce(addDims);
    const known = node.inputs.every(({ elements }) => elements !== undefined);
    const elements = known ? node.inputs.flatMap((input) => input.elements ?? []) : undefined;
    return withElements({ dtype, shape: first.with(axis, length) }, elements);
  },
};

const split: Operator = {
  inputs: [1, 2],
  outputs: [1, Infinity],
  attributes: { axis: "int", num_outputs: "int" },
  infer: (node) => {
    const { dtype, shape } = node.input(0);
    const axis = node.axis(node.int("axis", 0), shape.length);
    const count = node.node.outputs.length;
    const even = divideDims([shape[axis] ?? unknownDim], [count]) ?? unknownDim;
    const lengths: readonly Dim[] =
      node.optional(1) === null
        ? Array.from({ length: count }, () => even)
        : (node.elements(1) ?? Array.from({ length: count }, () => unknownDim));
    if (lengths.length !== count) node.fail(`${lengths.length} lengths for ${count} outputs`);
    if (!fits(lengths.reduce(addDims), shape[axis] ?? unknownDim)) {
      node.fail(`parts ${lengths.join(", ")} do not add up to ${shape[axis]}`);
    }
    return lengths.map((length) => ({ dtype, shape: shape.with(axis, length) }));
  },
};

/** Length of the cut `start` … `end` by `step`; unknownDim where it depends on sizes known only at run time. */
function cutLength(length: Dim, start: Dim, end: Dim, step: number): Dim {
  if (typeof start !== "number") return unknownDim;
  if (typeof end !== "number") return start === 0 && step === 1 ? end : unknownDim;
  if (typeof length !== "number") {
    return start === 0 && end >= toTheEnd && step === 1 ? length : unknownDim;
  }
  const least = step < 0 ? -1 : 0;
  const clamp = (at: number) =>
    Math.min(Math.max(at < 0 ? at + length : at, least), length + least);
  return Math.max(0, Math.ceil((clamp(end) - clamp(start)) / step));
}

const slice: Operator = {
  inputs: [3, 5],
  infer: (node) => {
    const { dtype, shape, elements } = node.input(0);
    const count = node.expectRank(1, 1).shape[0];
    const some = Array.from({ length: typeof count === "number" ? count : 0 }, (_, at) => at);
    const starts = node.elements(1) ?? [];
    const ends = node.elements(2) ?? [];
    const axes = node.optional(3) === null ? some : node.numbers(3);
    const steps = node.optional(4) === null ? some.map(() => 1) : node.numbers(4);
    const out = [...shape];
    for (const [at, given] of axes.entries()) {
      const axis = node.axis(given, shape.length);
      const [start, end] = [starts[at] ?? unknownDim, ends[at] ?? unknownDim];
      out[axis] = cutLength(out[axis] ?? unknownDim, start, end, steps[at] ?? 1);
    }
    const [from, to] = [starts[0], ends[0]];
    if (shape.length !== 1 || typeof from !== "number" || typeof to !== "number") {
      return { dtype, shape: out };
    }
    const kept = steps[0] === undefined || steps[0] === 1 ? elements?.slice(from, to) : undefined;
    return withElements({ dtype, shape: out }, kept);
  },
};

const gather: Operator = {
  inputs: [2, 2],
  attributes: { axis: "int" },
  infer: (node) => {
    const { dtype, shape, elements } = node.expect(0, anything);
    const indices = node.expect(1, indexTypes);
    const axis = node.axis(node.int("axis", 0), shape.length);
    const out = [...shape.slice(0, axis), ...indices.shape, ...shape.slice(axis + 1)];
    if (!elements || !indices.elements) return { dtype, shape: out };
    const picked = indices.elements.map((at) => elements.at(Number(at)) ?? unknownDim);
    return { dtype, shape: out, elements: picked };
  },
};

/** Elements along an axis by indices that have an axis for each of the data's: the result has the indices' shape. */
const gatherElements: Operator = {
  inputs: [2, 2],
  attributes: { axis: "int" },
  infer: (node) => {
    const { dtype, shape } = node.expect(0, anything);
    const indices = node.expect(1, indexTypes);
    node.axis(node.int("axis", 0), shape.length);
    if (indices.shape.length !== shape.length) node.fail("its inputs differ in rank");
    return { dtype, shape: indices.shape };
  },
};

/** Values added to elements, or put in their place: where GatherElements would read them. */
const scatterElements: Operator = {
  inputs: [3, 3],
  attributes: { axis: "int", reduction: "string" },
  infer: (node) => {
    const { dtype, shape } = node.expect(0, anything);
    const indices = node.expect(1, indexTypes).shape;
    const updates = node.input(2).shape;
    node.expectOneDtype([0, 2]);
    node.axis(node.int("axis", 0), shape.length);
    const alike = indices.length === shape.length && updates.length === shape.length;
    if (!alike || !indices.every((dim, axis) => fits(dim, updates[axis] ?? 1))) {
      node.fail(`${shapeText(updates)} at ${shapeText(indices)} do not fit ${shapeText(shape)}`);
    }
    return { dtype, shape };
  },
};

/** Slices by the indices along the last axis of the second input, each for as many leading axes as there are. */
const gatherND: Operator = {
  inputs: [2, 2],
  infer: (node) => {
    const { dtype, shape } = node.expect(0, anything);
    const indices = node.expect(1, ["int64"]).shape;
    const depth = indices.at(-1);
    if (typeof depth !== "number" || depth < 1 || depth > shape.length) {
      return node.fail(`indices ${shapeText(indices)} do not look up in ${shapeText(shape)}`);
    }
    return { dtype, shape: [...indices.slice(0, -1), ...shape.slice(depth)] };
  },
};

const scatterND: Operator = {
  inputs: [3, 3],
  attributes: { reduction: "string" },
  infer: (node) => {
    const { dtype, shape } = node.expect(0, anything);
    node.expect(1, ["int64"]);
    node.expectOneDtype([0, 2]);
    return { dtype, shape };
  },
};

const expand: Operator = {
  inputs: [2, 2],
  infer: (node) => {
    const { dtype, shape } = node.input(0);
    const [rank = 0] = node.expectRank(1, 1).shape;
    if (typeof rank !== "number") return node.fail("the target's rank must be known");
    const target = node.elements(1) ?? Array.from({ length: rank }, () => unknownDim);
    const out = broadcastSymbolic(shape, target);
    return {
      dtype,
      shape: out ?? node.fail(`${shapeText(shape)} cannot fill ${shapeText(target)}`),
    };
  },
};

/** Before and after each of `axes`; without a value, zeros. */
const pad: Operator = {
  inputs: [2, 4],
  attributes: { mode: "string" },
  infer: (node) => {
    const { dtype, shape } = node.expect(0, anything);
    const pads = node.elements(1);
    const axes = node.optional(3) === null ? shape.map((_, axis) => axis) : node.numbers(3);
    const out = [...shape];
    for (const [at, given] of axes.entries()) {
      const axis = node.axis(given, shape.length);
      const parts = [pads?.[at] ?? unknownDim, pads?.[at + axes.length] ?? unknownDim];
      out[axis] = [out[axis] ?? unknownDim, ...parts].reduce(addDims);
    }
    return { dtype, shape: out };
  },
};

const flatten: Operator = {
  inputs: [1, 1],
  attributes: { axis: "int" },
  infer: (node) => {
    const { dtype, shape } = node.input(0);
    const axis = node.int("axis", 1);
    const parts = [shape.slice(0, axis), shape.slice(axis)];
    return { dtype, shape: parts.map(multiplyDims) };
  },
};

const range: Operator = {
  inputs: [3, 3],
  infer: (node) => {
    const dtype = node.expectOneDtype([0, 1, 2]);
    const [start, end, step] = [0, 1, 2].map((index) => node.elements(index)?.[0]);
    return { dtype, shape: [start === 0 && step === 1 && end !== undefined ? end : unknownDim] };
  },
};

/** Indices of what is not zero, [rank, how many]. */
/** How many depends on data, and has a name, so that what is looked up by them is known to be as long. */
const nonZero: Operator = {
  inputs: [1, 1],
  infer: (node) => ({
    dtype: "int64",
    shape: [node.expect(0, anything).shape.length, `${node.node.name}:count`],
  }),
};

export const layout = {
  Shape: shapeOf,
  Reshape: reshape,
  Transpose: transpose,
  Unsqueeze: unsqueeze,
  Squeeze: squeeze,
  Concat: concat,
  Split: split,
  Slice: slice,
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherND,
  ScatterElements: scatterElements,
  ScatterND: scatterND,
  Expand: expand,
  Pad: pad,
  Flatten: flatten,
  Range: range,
  NonZero: nonZero,
} as const satisfies OperatorRows;
