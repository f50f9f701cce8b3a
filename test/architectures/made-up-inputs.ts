/** Tokens for a measuring graph (channel-ranges.ts) where a test has no tokenizer. */
import { tensor } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";

/** Texts × tokens of the measurement. */
const texts = 16;
const longest = 32;

/** What the measuring graph reads. */
type Inputs = readonly { readonly name: string }[];

/** Feeds for its `inputs`: the same for the same vocabulary, without padding. */
export function madeUpInputs(
  inputs: Inputs,
  vocabularySize: number,
  positions: number,
): Record<string, Tensor> {
  const shape = [texts, Math.min(longest, positions)];
  const count = texts * (shape[1] ?? 0);
  let state = 1;
  // A linear congruential generator (Numerical Recipes): only the spread over the vocabulary matters.
  const next = () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0);
  const ids = BigInt64Array.from({ length: count }, () =>
    BigInt(Math.floor((next() / 2 ** 32) * vocabularySize)),
  );
  const made: Record<string, Tensor> = {
    input_ids: tensor("int64", shape, ids),
    attention_mask: tensor("int64", shape, new BigInt64Array(count).fill(1n)),
    token_type_ids: tensor("int64", shape, new BigInt64Array(count)),
  };
  const read = new Set(inputs.map(({ name }) => name));
  return Object.fromEntries(Object.entries(made).filter(([name]) => read.has(name)));
}
