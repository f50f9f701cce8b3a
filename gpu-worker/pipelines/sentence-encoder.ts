/**
 * What the sentence tasks need of a loaded model, and nothing more: the catalog's models satisfy it by their shape.
 * The graph reads input_ids, attention_mask and (where it has them) token_type_ids, int64 `[batch, sequence]`, and
 * gives `sentence_embedding` (scaled as the model's configuration says) and `pooled` (never scaled), f32
 * `[batch, hidden]`.
 */
import type { ModelLimits } from "#contract/models.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

export type EncoderSession = {
  /** Runs that compute at the same time. */
  readonly concurrency: number;
  readonly inputs: readonly { readonly name: string }[];
  run(
    feeds: Record<string, Tensor>,
    options: { outputs: string[]; signal: AbortSignal },
  ): Promise<Record<string, Tensor>>;
};

export type SentenceEncoder = {
  readonly id: string;
  readonly limits: ModelLimits;
  readonly tokenizer: Tokenizer;
  readonly session: EncoderSession;
  /** Null: the model makes no sentence vectors. */
  readonly sentence: {
    /** Whether `sentence_embedding` has length 1. */
    readonly normalize: boolean;
    /** Texts to put before an input, by name. */
    readonly prompts?: Readonly<Record<string, string>>;
  } | null;
};
