/** What a model computes on top of its hidden states, and what its numbers mean. */
import type { CrossEncoder } from "./cross-encoder.ts";
import type { LinearHead } from "./linear-head.ts";

/** Classes exclude each other (softmax), or each stands for itself (sigmoid), or the one is a number. */
export const problems = ["single_label", "multi_label", "regression"] as const;
export type Problem = (typeof problems)[number];

/** How tags of words that follow each other are chosen: the likeliest of those that IOB2 allows. */
export const tagDecodings = ["iob2"] as const;
export type TagDecoding = (typeof tagDecodings)[number];

export type ModelHead =
  /** Hidden states alone: see `sentence` of the model. */
  | { readonly name: "none" }
  | {
      readonly name: "sequence-classification" | "token-classification";
      /** By class. */
      readonly labels: readonly string[];
      readonly problem: Problem;
      /** Null: the graph computes `logits`. */
      readonly linear: LinearHead | null;
      /** Of one label. Absent: a sigmoid, and nothing before the query. */
      readonly crossEncoder?: CrossEncoder;
      /** Of tags. Absent: each word's surest class. */
      readonly decoding?: TagDecoding;
    }
  /** `linear`: of where an answer begins and where it ends. Absent: the graph computes both. */
  | { readonly name: "question-answering"; readonly linear?: LinearHead }
  | { readonly name: "masked-lm" };
