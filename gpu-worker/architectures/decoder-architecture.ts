/**
 * One decoder as its family and its config.json describe it: sizes, and which of the parts that families differ in it
 * has. A family is a schema that reads a config.json as this; causal-transformer.ts builds the graph from it.
 */
import type { ActivationName } from "./activation.ts";
import type { Rope } from "./rope.ts";

/** What checkpoints put before the names of their tensors. */
export const decoderPrefixes = ["model."];

/** Names of a layer's norms, below the layer's own name. */
export type DecoderNorms = {
  /** Of what attention reads. */
  readonly attention: string;
  /** Of what attention gives, before it is added; null: none. */
  readonly attended: string | null;
  /** Of what the feed-forward block reads. */
  readonly feedForward: string;
  /** Of what the feed-forward block gives, before it is added; null: none. */
  readonly fed: string | null;
  /** Of each head's query and key, before they are turned; null: none. */
  readonly heads: { readonly query: string; readonly key: string } | null;
};

export type DecoderLayer = {
  readonly rope: Rope;
  /** Tokens that a token sees, itself included; null: all before it. */
  readonly window: number | null;
};

export type DecoderArchitecture = {
  readonly name: string;
  readonly vocabulary: number;
  readonly hidden: number;
  /** Of queries. */
  readonly heads: number;
  /** Of keys and values, each shared by as many heads of queries. */
  readonly keyValueHeads: number;
  /** Features of a head: all heads together need not be as wide as the hidden state. */
  readonly headWidth: number;
  readonly intermediate: number;
  /** Longest text in tokens. */
  readonly positions: number;
  /** Of every norm. */
  readonly epsilon: number;
  readonly activation: ActivationName;
  readonly norms: DecoderNorms;
  /** Added to the weights of every norm: some families keep what they differ from 1 by. */
  readonly normOffset: number;
  /** Which linear layers have a bias. */
  readonly biases: {
    readonly queryKeyValue: boolean;
    readonly attentionOutput: boolean;
    readonly feedForward: boolean;
  };
  /** Factor of the embedded tokens. */
  readonly embeddingScale: number;
  /** Factor of the products of queries and keys. */
  readonly scoreScale: number;
  /** One for each layer. */
  readonly layers: readonly DecoderLayer[];
  /** Whether the embedding is the output layer too, where a checkpoint brings none of its own. */
  readonly tied: boolean;
  /** Logits beyond it are bent back: cap · tanh(logit / cap); null: they are not. */
  readonly logitCap: number | null;
};
