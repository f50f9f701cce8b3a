/**
 * What a caller wants of an encoder: the head on top of its hidden states, and the form of its products.
 */
import type { ChannelRanges } from "./channel-ranges.ts";

export type Pooling = "mean" | "cls" | "max";

export type Head =
  /** `last_hidden_state` f32 [batch, sequence, hidden]. */
  | { readonly name: "none" }
  /** `pooled`, and `sentence_embedding` (scaled to length 1 if `normalize`), f32 [batch, hidden]; `last_hidden_state`. */
  | { readonly name: "sentence"; readonly pooling: Pooling; readonly normalize: boolean }
  /** `logits` f32 [batch, labels]; of token-classification [batch, sequence, labels]. */
  | {
      readonly name: "sequence-classification" | "token-classification";
      /** As config.json counts them: weights for another number are refused. Absent: as many as the weights have. */
      readonly labels?: number;
    }
  /** `start_logits` and `end_logits` f32 [batch, sequence]. */
  | { readonly name: "question-answering" }
  /**
   * `logits` f32 [batch, sequence, vocabulary]. At positions: of the tokens that the input `positions` int64 [masked] names
   * by their place in the flattened [batch · sequence], [masked, vocabulary]: what is masked is few, the vocabulary large.
   */
  | { readonly name: "masked-lm"; readonly at?: "positions" };

export type HeadName = Head["name"];

/** f16: products and matrices in half precision, the rest in f32 (onnx/autocast.ts); for GPUs. */
export type ComputeForm = "f32" | "f16" | "int8";

export type EncoderOptions = {
  readonly head: Head;
  readonly form: ComputeForm;
  /**
   * Whether layers leave padding out (token-rows.ts): faster where texts of a batch differ in length. Default false: the
   * plain graph.
   */
  readonly packed?: boolean;
  /** For int8: whether this machine's u8×s8 product saturates. Default false. */
  readonly saturates?: boolean;
  /** For int8: what channel-ranges.ts measured, or null to round without it. Default null. */
  readonly ranges?: ChannelRanges | null;
  /**
   * Bytes of attention's scores that are computed at a time, about; null for all at once. Default: 64 MiB where the model has
   * more than 512 positions, else null.
   */
  readonly scoreBytes?: number | null;
};
