/**
 * Fused attention of ONNX Runtime: of encoders, which keep nothing, and of decoders, which keep keys and values.
 */
import type { Inferred, NodeView, Operator, OperatorRows } from "../operator.ts";
import { fits, shapeText, unknownDim } from "../symbolic-shape.ts";
import type { Dim } from "../symbolic-shape.ts";
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

/** Of a head: what an axis of `features` has for each of `heads`. */
function headWidth(node: NodeView, features: Dim, heads: number): Dim {
  if (typeof features !== "number") return unknownDim;
  const width = features / heads;
  // Turned heads have halves of a multiple of 8.
  const multiple = node.int("do_rotary", 0) === 1 ? 16 : 8;
  if (Number.isInteger(width) && width % multiple === 0) return width;
  return node.fail(`${features} does not divide into ${heads} heads of a multiple of ${multiple}`);
}

/**
 * Inputs: query, key, value [batch, sequence, hidden], or all three packed in the first; past_key, past_value
 * [batch, kv_heads, past, width]; seqlens_k int32 [batch], tokens of each text less 1; total_sequence_length int32 [];
 * cos_cache, sin_cache [positions, width / 2]; as 13th and 14th, scales of int8 keys and values [kv_heads, 1, width].
 * Outputs: [batch, sequence, hidden], and keys and values with the new ones.
 */
const groupQueryAttention: Operator = {
  inputs: [7, 14],
  outputs: [1, 3],
  attributes: {
    num_heads: "int",
    kv_num_heads: "int",
    scale: "float",
    softcap: "float",
    local_window_size: "int",
    do_rotary: "int",
    rotary_interleaved: "int",
    k_quant_type: "string",
    v_quant_type: "string",
    kv_cache_bit_width: "int",
  },
  infer: (node) => {
    node.expect(0, floats);
    const dtype = node.expectOneDtype([0, 1, 2, 7, 8]);
    const stored = node.expectOneDtype([3, 4]);
    const expected = node.int("kv_cache_bit_width", 0) === 8 ? "int8" : dtype;
    if (stored !== expected) node.fail(`keys and values are ${stored}, not ${expected}`);
    for (const index of [5, 6]) node.expect(index, ["int32"]);
    const [heads, kept] = [node.int("num_heads", 0), node.int("kv_num_heads", 0)];
    if (heads < 1 || kept < 1 || heads % kept !== 0) node.fail(`${heads} heads on ${kept}`);
    const [batch = unknownDim, sequence = unknownDim, features = 1] = node.expectRank(0, 3).shape;
    const inQuery = node.optional(1) === null ? heads + 2 * kept : heads;
    const width = headWidth(node, features, inQuery);
    const state: Inferred = { dtype: stored, shape: [batch, kept, unknownDim, width] };
    for (const index of [3, 4]) {
      const { shape } = node.expectRank(index, 4);
      const alike = state.shape.every((dim, axis) => fits(dim, shape[axis] ?? 1));
      if (!alike) node.fail(`input ${index} is ${shapeText(shape)}, not ${shapeText(state.shape)}`);
    }
    const hidden = typeof width === "number" ? width * heads : unknownDim;
    return [{ dtype, shape: [batch, sequence, hidden] }, state, state];
  },
};

/**
 * Inputs: x [batch, heads, sequence, width], or [batch, sequence, heads·width]; positions int64 [batch, sequence], or
 * the first's [1]; cos_cache, sin_cache [positions, width / 2].
 */
const rotaryEmbedding: Operator = {
  inputs: [4, 4],
  attributes: {
    interleaved: "int",
    num_heads: "int",
    rotary_embedding_dim: "int",
    scale: "float",
    is_packed_batching: "int",
  },
  infer: (node) => {
    const { shape } = node.expect(0, floats);
    const dtype = node.expectOneDtype([0, 2, 3]);
    node.expect(1, ["int64"]);
    if (shape.length !== 3 && shape.length !== 4) node.fail(`it cannot turn ${shapeText(shape)}`);
    const [cos, sin] = [node.expectRank(2, 2).shape, node.expectRank(3, 2).shape];
    const alike = cos.every((dim, axis) => fits(dim, sin[axis] ?? 1));
    if (!alike) node.fail(`cos is ${shapeText(cos)}, sin ${shapeText(sin)}`);
    return { dtype, shape };
  },
};

export const attention = {
  "com.microsoft.GroupQueryAttention": groupQueryAttention,
  "com.microsoft.MultiHeadAttention": multiHeadAttention,
  "com.microsoft.RotaryEmbedding": rotaryEmbedding,
} as const satisfies OperatorRows;
