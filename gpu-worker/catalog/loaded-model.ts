/** A model ready to run: what `lease` of the catalog gives, and all that a pipeline needs of it. */
import type { ModelLimits } from "#contract/models.ts";
import type { Task } from "#contract/tasks.ts";
import type { ComputeForm } from "../architectures/encoder-head.ts";
import type { Session } from "../runtime/session.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { RunCost } from "./measure-costs.ts";
import type { similarityNames } from "./sentence-files.ts";

export type PlainPooling = "mean" | "cls" | "max";

export type Similarity = (typeof similarityNames)[number];

/** How a sentence encoder is asked for its vectors. */
export type LoadedSentence = {
  /** What `pooled` is of the token vectors; null: something else than these. */
  pooling: PlainPooling | null;
  normalize: boolean;
  prompts: Record<string, string>;
  /** The name of the prompt of who asks for none; null: none. */
  defaultPrompt: string | null;
  /** False: a prompt's tokens are left out of the vector. */
  includePrompt: boolean;
  /** How the model's own vectors are compared. */
  similarity: Similarity;
};

/** How the one label of a cross-encoder becomes a score. */
export type CrossEncoder = {
  activation: "sigmoid" | "linear" | "tanh";
  /** Put before the query; empty for none. */
  prompt: string;
};

/** logits = W·x + b over a shared backbone's vectors. */
export type LinearHead = {
  pooling: PlainPooling | "spans" | "none";
  /** [labels, features]. */
  weight: Float32Array;
  /** [labels]. */
  bias: Float32Array;
};

export type LoadedHead =
  | { name: "none" }
  | {
      name: "sequence-classification" | "token-classification";
      labels: string[];
      problem: "single_label" | "multi_label" | "regression";
      /** Null: the graph computes the logits. */
      linear: LinearHead | null;
      /** Of a classifier of one label. */
      crossEncoder?: CrossEncoder;
    }
  | { name: "question-answering" }
  | { name: "masked-lm" };

export type LoadedModel = {
  id: string;
  /** Of weights, identity files, compute form and graph builder, lower-case hex: part of the edge's cache key. */
  digest: string;
  form: ComputeForm;
  tasks: Task[];
  limits: ModelLimits;
  /** Inputs input_ids, attention_mask, token_type_ids int64 `[batch, sequence]`; outputs by head. */
  session: Session;
  /** What runs of a few sizes take here: the budgets of its batches follow from it. */
  costs: RunCost[];
  /** Bytes that runs take by their shape, as of batching/run-memory.ts. */
  memory: { perToken: number; perPair: number; pairsMax: number; perAsked: number; max: number };
  /** Tokens of the largest batch that a GPU's memory has room for. Absent: no GPU computes. */
  batchTokensMax?: number;
  tokenizer: Tokenizer;
  head: LoadedHead;
  /** Null: the model makes no sentence vectors. */
  sentence: LoadedSentence | null;
  /** Id of the model that finds the entities this one relates; null: it names none. */
  entityModel: string | null;
  /** sha256 of the upstream f32 weights file: what adapters name their base by. */
  upstreamDigest: string;
  /** What it keeps in memory, about: its compiled graph, weights included. */
  bytes: number;
  /** Gives the memory back; of an adapter, its hold on the base. Runs asked for before are finished. */
  dispose(): Promise<void>;
};

/** A model in use: it stays loaded until it is released. */
export type ModelLease = { readonly model: LoadedModel; release(): void };
