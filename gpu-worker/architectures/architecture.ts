/**
 * One encoder as its family and its config.json describe it: sizes, the names its checkpoint gives to tensors, and
 * which of the parts that families differ in it has. A family is a schema that reads a config.json as this;
 * transformer.ts and encoder-heads.ts build the graph from it.
 */
import type { ActivationName } from "./activation.ts";

/** Linear layers (name.weight, name.bias) and norms of one layer of the encoder. */
export type LayerNames = {
  readonly query: string;
  readonly key: string;
  readonly value: string;
  /** What attention's context goes through. */
  readonly attentionOutput: string;
  readonly attentionNorm: string;
  /** The feed-forward block's two layers. */
  readonly intermediate: string;
  readonly output: string;
  readonly norm: string;
};

export type Embeddings = {
  /** Features of each table's rows. */
  readonly width: number;
  /** Tokens that the table of words has rows of, in their order, and one row more. Absent: of the vocabulary. */
  readonly words?: readonly number[];
  /** Rows of the table of token types, 0 for none. */
  readonly tokenTypes: number;
  /** The table of absolute positions; null: attention alone tells tokens' positions. */
  readonly positions: {
    readonly rows: number;
    /**
     * The id of padding, if positions are counted from the row after it over all tokens but padding, which has that row
     * itself (fairseq's way). Null: a token's position is its column.
     */
    readonly padding: number | null;
  } | null;
  /** A linear layer from `width` to the hidden size, before or after the norm; null: they are one. */
  readonly projection: {
    readonly name: string;
    readonly bias: boolean;
    readonly place: "before norm" | "after norm";
  } | null;
};

/** A distance between tokens as part of attention's scores: see relative-scores.ts. */
export type RelativePositions = {
  /** Distances told apart in each direction; the table has twice as many rows. */
  readonly span: number;
  /** From this distance on all share a row. */
  readonly reach: number;
  /** Whether only near distances have a row each, and farther ones share rows, ever more of them. */
  readonly bucketed: boolean;
  readonly table: string;
  /** The norm of the table's rows, if they have one. */
  readonly norm: string | null;
  /** Layers that make keys for the content's queries, and queries for the content's keys; null: no such product. */
  readonly layers: (layer: LayerNames) => {
    readonly key: string | null;
    readonly query: string | null;
  };
};

/** A convolution over the embedded tokens, added to what the first layer gives. */
export type Convolution = {
  readonly name: string;
  readonly norm: string;
  readonly width: number;
  readonly groups: number;
  readonly activation: ActivationName;
};

/** Logits of a text: classifier(activation(dense(its first token))). */
export type SequenceHead = {
  readonly dense: string;
  readonly activation: ActivationName;
  readonly classifier: string;
};

/** Logits of a token: decoder(norm(activation(dense(its state)))) + bias. */
export type MaskedHead = {
  readonly dense: string;
  readonly activation: ActivationName;
  readonly norm: string;
  /** Features between dense and decoder. */
  readonly width: number;
  /** A matrix of its own that a checkpoint may bring; without it the word embeddings are the decoder. */
  readonly decoder: string | null;
  /** Names of the bias, of which the first that a checkpoint has counts: an untied decoder leaves the other unread. */
  readonly bias: readonly string[];
};

export type Architecture = {
  readonly name: string;
  /** What checkpoints put before the names of the encoder's tensors. */
  readonly prefixes: readonly string[];
  readonly vocabulary: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly intermediate: number;
  /** Longest input in tokens. */
  readonly positions: number;
  /** Of every norm. */
  readonly epsilon: number;
  readonly activation: ActivationName;
  readonly embeddings: Embeddings;
  readonly layer: (index: number) => LayerNames;
  /** Products a score is the sum of: it is scaled by 1/√(terms · width of a head). */
  readonly scoreTerms: number;
  readonly relative: RelativePositions | null;
  readonly convolution: Convolution | null;
  readonly sequenceHead: SequenceHead;
  /** The first whose tensors the checkpoint has. */
  readonly maskedHeads: readonly MaskedHead[];
};
