/**
 * What a caller wants of an encoder: the head on top of its hidden states, and the form of its products.
 */
import { plainPoolings } from "../model/pooling.ts";
import type { ActivationName } from "./activation.ts";
import type { ChannelRanges } from "./channel-ranges.ts";

/** Ways from token vectors to a text's one, by sentence-transformers' names. */
export const poolingNames = [
  ...plainPoolings,
  "mean_sqrt_len_tokens",
  "weightedmean",
  "lasttoken",
] as const;
export type Pooling = (typeof poolingNames)[number];

/** What sentence-transformers does to a text's vector after the pooling; matrices are row-major. */
export type SentenceStage =
  | {
      readonly kind: "dense";
      readonly inputs: number;
      readonly outputs: number;
      readonly activation: ActivationName;
      /** [outputs, inputs]. */
      readonly weight: Float32Array;
      /** [outputs]; null for none. */
      readonly bias: Float32Array | null;
      /** Added after the activation: the input itself, or through [outputs, inputs]; null for nothing. */
      readonly residual: Float32Array | "input" | null;
    }
  /** Both [width]. */
  | { readonly kind: "layer-norm"; readonly weight: Float32Array; readonly bias: Float32Array }
  /** Scales to length 1. */
  | { readonly kind: "normalize" };

export type SentenceHead = {
  readonly name: "sentence";
  /** Several stand side by side in the vector. */
  readonly pooling: Pooling | readonly Pooling[];
  /** Between the pooling and the last scaling. Default: none. */
  readonly stages?: readonly SentenceStage[];
  readonly normalize: boolean;
  /** So many of a vector's first numbers are kept. Default null: all. */
  readonly keep?: number | null;
  /**
   * Whether the graph has a further input `pooling_mask`, int64 [batch, sequence], 1 for a token that is pooled: those
   * of a prompt may be left out. Default false: all tokens are.
   */
  readonly masked?: boolean;
};

export type Head =
  /** `last_hidden_state` f32 [batch, sequence, hidden]. */
  | { readonly name: "none" }
  /**
   * `pooled`, and `sentence_embedding` (scaled to length 1 if `normalize`), f32 [batch, width]; `last_hidden_state`.
   */
  | SentenceHead
  /** `logits` f32 [batch, labels]; of token-classification [batch, sequence, labels]. */
  | {
      readonly name: "sequence-classification" | "token-classification";
      /** As config.json counts them: weights for another number are refused. Absent: as many as the weights have. */
      readonly labels?: number;
    }
  /** `start_logits` and `end_logits` f32 [batch, sequence]. */
  | { readonly name: "question-answering" }
  /**
   * `logits` f32 [batch, sequence, vocabulary]. At positions: of the tokens that the input `positions` int64 [masked]
   * names by their index in the flattened [batch · sequence], [masked, vocabulary]: what is masked is few, the
   * vocabulary large.
   */
  | { readonly name: "masked-lm"; readonly at?: "positions" };

export type HeadName = Head["name"];

/** f16: products and matrices in half precision, the rest in f32 (onnx/autocast.ts); for GPUs. */
export type ComputeForm = "f32" | "f16" | "int8";

export type EncoderOptions = {
  readonly head: Head;
  readonly form: ComputeForm;
  /**
   * Whether layers leave padding out (token-rows.ts): faster where texts of a batch differ in length. Default false:
   * the plain graph.
   */
  readonly packed?: boolean;
  /** For int8: whether this machine's u8×s8 product saturates. Default false. */
  readonly saturates?: boolean;
  /** For int8: what channel-ranges.ts measured, or null to round without it. Default null. */
  readonly ranges?: ChannelRanges | null;
  /**
   * Bytes of attention's scores that are computed at a time, about; null for all at once. Default: 64 MiB where the
   * model has more than 512 positions, else null. In f16 always all at once.
   */
  readonly scoreBytes?: number | null;
  /** Whether layers take stacks of adapters of low rank, one for each text (lora-layers.ts). Default false. */
  readonly lora?: boolean;
};
