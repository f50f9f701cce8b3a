/**
 * Self-attention of an encoder over [heads, tokens, width] queries, keys and values, in standard operators. Measured
 * faster on the CPU than ONNX Runtime's fused operator (1.1 against 2.1 ms a layer, 32 texts of 28 tokens), because
 * nothing has to be transposed but the result.
 *
 * Two biases are free: a key's bias adds the same to every score of a query, which softmax ignores; a value's bias adds
 * itself to every result, because a softmax sums to 1, so it goes through the output layer's weights into that layer's bias.
 */
import type { Value } from "../onnx/value.ts";

export type AttentionInputs = {
  /** [heads, tokens, width] each; the query with its bias and scaled by 1/√width. */
  readonly query: Value;
  readonly key: Value;
  readonly value: Value;
  /** f32 [batch, 1, sequence]: 0 for a token, far below 0 for padding. */
  readonly mask: Value;
  /** int64 [4]: heads, batch, sequence, width. */
  readonly shape: Value;
};

/** The context of each token, [tokens, heads·width]. */
export function attend(inputs: AttentionInputs): Value {
  const { mask, shape } = inputs;
  const width = Number(inputs.query.shape[2]);
  const heads = Number(inputs.query.shape[0]);
  const perText = (x: Value) => x.op("Reshape", [shape]);
  const keys = perText(inputs.key).transpose([0, 1, 3, 2]);
  return perText(inputs.query)
    .matMul(keys)
    .add(mask)
    .softmax(-1)
    .matMul(perText(inputs.value))
    .reshape([heads, -1, width])
    .transpose([1, 0, 2])
    .reshape([-1, heads * width]);
}
