/**
 * Fused attention of ONNX Runtime, as far as encoders use it: no cache of past keys.
 */
import type { Operator, OperatorRows } from "../operator.ts";
import { fits, shapeText } from "../symbolic-shape.ts";
import { floats } from "./elementwise.ts";

/**
 * Inputs: query, key, value [batch, sequence, hidden], bias [3·hidden], key_padding_mask
 * (int32 [batch] of lengths, right-padded, or [batch, sequence]), attention_bias.
 */
const multiHeadAttention: Operator = {
  inputs: [1, 6],
  attributes: {
    num_heads: "int",
    scale: "float",
    mask_filter_value: "float",
    unidirectional: "int",
  },
  infer: (node) => {
    const query = node.expect(0, floats);
    const [key, value] = [node.input(1), node.input(2)];
    node.expectOneDtype([0, 1, 2, 3, 5]);
    if (node.optional(4) !== null) node.expect(4, ["int32"]);
    const alike = key.shape.every((dim, axis) => fits(dim, value.shape[axis] ?? 1));
    if (query.shape.length !== 3 || key.shape.length !== 3 || !alike) {
      node.fail(
        `query, key, value are ${[query, key, value].map((t) => shapeText(t.shape)).join()}`,
      );
    }
    const hidden = query.shape[2] ?? 1;
    const heads = node.int("num_heads", 0);
    if (heads < 1 || (typeof hidden === "number" && hidden % heads !== 0)) {
      node.fail(`${hidden} does not divide into ${heads} heads`);
    }
    return { dtype: query.dtype, shape: [...query.shape.slice(0, 2), value.shape[2] ?? hidden] };
  },
};

export const attention = {
  "com.microsoft.MultiHeadAttention": multiHeadAttention,
} as const satisfies OperatorRows;
