/**
 * An encoder's graph, ready to run. It reads input_ids, attention_mask and (where it has them) token_type_ids, int64
 * `[batch, sequence]`; a masked-lm's also `positions`, int64 `[masked]`, into the flattened batch; of a sentence
 * encoder that leaves prompts out of its vectors, `pooling_mask`, int64 `[batch, sequence]`; one with adapters of low
 * rank, `lora_slots`, `lora_cells`, `lora_places` and `lora_rows` (lora-groups.ts). Its outputs are `OutputName`s.
 */
import type { Tensor } from "../tensor/tensor.ts";

/** Outputs of encoder graphs, f32, with what one row has of each. */
export type OutputName =
  /** [width]: pooled as the model's configuration says, and not scaled in the end. */
  | "pooled"
  /** [width]: `pooled`, scaled as the model's configuration says. */
  | "sentence_embedding"
  /** [tokens, hidden]. */
  | "last_hidden_state"
  /** sequence-classification [labels]; token-classification [tokens, labels]; masked-lm [positions, vocabulary]. */
  | "logits"
  /** question-answering [tokens] each. */
  | "start_logits"
  | "end_logits";

export type EncoderSession = {
  /** Runs that compute at the same time. */
  readonly concurrency: number;
  /** Where it has adapters: what a group of rows costs for each adapter beside its rows, in rows. */
  readonly groupOverheadRows?: number;
  readonly inputs: readonly { readonly name: string }[];
  readonly outputs: readonly { readonly name: string }[];
  run(
    feeds: Record<string, Tensor>,
    options: { outputs: string[]; signal: AbortSignal },
  ): Promise<Record<string, Tensor>>;
};
