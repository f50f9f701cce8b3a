/**
 * Operators that run a graph of their own: one of two, or one again and again.
 */
import type { Inferred, Operator, OperatorRows } from "../operator.ts";
import { unknownDim, fits } from "../symbolic-shape.ts";

/** Whichever branch runs, its results have the same types; sizes that differ are not known. */
const either: Operator = {
  inputs: [1, 1],
  outputs: [1, Infinity],
  attributes: { then_branch: "graph", else_branch: "graph" },
  infer: (node) => {
    node.expect(0, ["bool"]);
    const [then, otherwise] = [node.graph("then_branch"), node.graph("else_branch")];
    return then.outputs.map(({ dtype, shape }, index): Inferred => {
      const other = otherwise.outputs[index];
      if (other?.dtype !== dtype || other.shape.length !== shape.length) {
        return node.fail(`its branches give different types as output ${index}`);
      }
      const known = (at: number) => (shape[at] === unknownDim ? other.shape[at] : shape[at]);
      const alike = shape.map((dim, at) => fits(dim, other.shape[at] ?? unknownDim));
      return {
        dtype,
        shape: alike.map((same, at) => (same ? (known(at) ?? unknownDim) : unknownDim)),
      };
    });
  },
};

/**
 * Inputs: how often (int64), whether at all (bool), then what is carried from turn to turn. The body's outputs: whether
 * to go on, what is carried, and what is stacked along a new first axis, alike in shape from turn to turn.
 */
const loop: Operator = {
  inputs: [2, Infinity],
  outputs: [1, Infinity],
  attributes: { body: "graph" },
  infer: (node) => {
    node.expect(0, ["int64"]);
    node.expect(1, ["bool"]);
    const carried = node.node.inputs.length - 2;
    const [, ...results] = node.graph("body").outputs;
    return results.map(({ dtype, shape }, index): Inferred => ({
      dtype,
      shape: index < carried ? shape : [unknownDim, ...shape],
    }));
  },
};

/**
 * One turn for each element along the first axis of all inputs, none of which is carried from turn to turn: the body is
 * given the elements, and its results are stacked. Neither is copied.
 */
const scan: Operator = {
  inputs: [1, Infinity],
  outputs: [1, Infinity],
  attributes: { body: "graph", num_scan_inputs: "int" },
  infer: (node) => {
    if (node.int("num_scan_inputs", 0) !== node.inputs.length) node.fail("it carries a value");
    const [turns = unknownDim] = node.input(0).shape;
    return node
      .graph("body")
      .outputs.map(({ dtype, shape }): Inferred => ({ dtype, shape: [turns, ...shape] }));
  },
};

export const control = { If: either, Loop: loop, Scan: scan } as const satisfies OperatorRows;
