/**
 * What a pipeline needs of a loaded model, and nothing more: the catalog's models satisfy it by their shape. The graph reads
 * input_ids, attention_mask and (where it has them) token_type_ids, int64 `[batch, sequence]`; a masked-lm's also
 * `positions`, int64 `[masked]`, into the flattened batch; of a sentence encoder that leaves prompts out of its vectors,
 * `pooling_mask`, int64 `[batch, sequence]`. Its outputs are `OutputName`s.
 */
import type { ModelLimits } from "#contract/models.ts";
import type { Task } from "#contract/tasks.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

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
  readonly inputs: readonly { readonly name: string }[];
  readonly outputs: readonly { readonly name: string }[];
  run(
    feeds: Record<string, Tensor>,
    options: { outputs: string[]; signal: AbortSignal },
  ): Promise<Record<string, Tensor>>;
};

/** How token vectors become the one that a linear head reads. `none`: each token's own. */
export type PlainPooling = "mean" | "cls" | "max";
export type HeadPooling = PlainPooling | "spans" | "none";

/** logits = W·x + b. */
export type LinearLayer = {
  /** [labels, features]. */
  readonly weight: Float32Array;
  /** [labels]. */
  readonly bias: Float32Array;
};

/**
 * A head fitted on a backbone that others share, computed beside the graph. Its features are the hidden size, three times
 * that for spans (head, tail, whole text).
 */
export type LinearHead = LinearLayer & { readonly pooling: HeadPooling };

/** How the one label of a cross-encoder becomes a score. */
export type CrossEncoder = {
  readonly activation: "sigmoid" | "linear" | "tanh";
  /** Put before the query; empty for none. */
  readonly prompt: string;
};

export type EncoderHead =
  /** Hidden states alone: see `sentence`. */
  | { readonly name: "none" }
  | {
      readonly name: "sequence-classification" | "token-classification";
      /** By class. */
      readonly labels: readonly string[];
      /** Classes exclude each other (softmax), or each stands for itself (sigmoid), or the one is a number. */
      readonly problem: "single_label" | "multi_label" | "regression";
      /** Null: the graph computes `logits`. */
      readonly linear: LinearHead | null;
      /** Of one label. Absent: a sigmoid, and nothing before the query. */
      readonly crossEncoder?: CrossEncoder;
    }
  | { readonly name: "question-answering" }
  | { readonly name: "masked-lm" };

export type EncoderModel = {
  readonly id: string;
  readonly digest: string;
  readonly tasks: readonly Task[];
  readonly limits: ModelLimits;
  readonly tokenizer: Tokenizer;
  readonly session: EncoderSession;
  /** What runs of so many tokens were measured to take here. Absent: not measured. */
  readonly costs?: readonly { readonly tokens: number; readonly seconds: number }[];
  /** Bytes that runs take by their shape, as of batching/run-memory.ts. Absent: runs are not bounded by it. */
  readonly memory?: {
    readonly perToken: number;
    readonly perPair: number;
    readonly pairsMax: number;
    readonly perAsked: number;
    readonly max: number;
  };
  /** Tokens of the largest batch that there is room for. Absent: whatever the policy says. */
  readonly batchTokensMax?: number;
  readonly head: EncoderHead;
  /** Null: the model makes no sentence vectors. */
  readonly sentence: {
    /** What `pooled` is of the token vectors; null: something else than these. */
    readonly pooling: PlainPooling | null;
    /** Whether `sentence_embedding` has length 1. */
    readonly normalize: boolean;
    /** Texts to put before an input, by name. */
    readonly prompts: Readonly<Record<string, string>>;
    /** The name of the prompt of who asks for none. Absent or null: none. */
    readonly defaultPrompt?: string | null;
    /** False: a prompt's tokens are left out of the vector. Absent: they are not. */
    readonly includePrompt?: boolean;
    /** How the model's own vectors are compared. Absent: by cosine. */
    readonly similarity?: "cosine" | "dot" | "euclidean" | "manhattan";
  } | null;
  /** Id of the model that finds the entities this one relates; null: it names none. */
  readonly entityModel: string | null;
};
