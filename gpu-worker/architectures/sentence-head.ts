/**
 * One vector per text from its tokens' hidden states, inside the graph, and the states for whoever pools otherwise.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import type { Pooling } from "./encoder-head.ts";

/** torch.nn.functional.normalize's. */
const LEAST_LENGTH = 1e-12;
/** sentence-transformers', for a text without tokens. */
const LEAST_COUNT = 1e-9;
const FAR_BELOW = -1e30;

export type TokenStates = {
  /** f32 [batch, sequence, hidden]. */
  readonly hidden: Value;
  /** f32 [batch, sequence], 1 for a token, 0 for padding. */
  readonly mask: Value;
};

const poolings: { readonly [P in Pooling]: (states: TokenStates) => Value } = {
  mean: ({ hidden, mask }) => {
    const sum = mask.unsqueeze([1]).matMul(hidden).squeeze([1]);
    return sum.div(mask.sum([1], true).max(LEAST_COUNT));
  },
  cls: ({ hidden }) => hidden.slice(1, 0, 1).squeeze([1]),
  max: ({ hidden, mask }) =>
    hidden.add(mask.sub(1).mul(-FAR_BELOW).unsqueeze([2])).reduceMax([1], false),
};

export function sentenceHead(
  graph: GraphBuilder,
  states: TokenStates,
  { pooling, normalize }: { readonly pooling: Pooling; readonly normalize: boolean },
): void {
  const pooled = poolings[pooling](states);
  const unit = normalize ? pooled.div(pooled.l2([-1], true).max(LEAST_LENGTH)) : pooled;
  graph.output("pooled", pooled);
  graph.output("sentence_embedding", unit);
  graph.output("last_hidden_state", states.hidden);
}
