/** The part of a context that answers a question. */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { offsetUnit, Text, topK } from "./fields.ts";

export const Answer = z.object({
  answer: z.string(),
  score: z.number(),
  start: z.int().nonnegative(),
  end: z.int().nonnegative(),
});
export type Answer = z.infer<typeof Answer>;

/** Of the parameters by these names: transformers' own. */
export const questionAnsweringDefaults = {
  doc_stride: 128,
  max_seq_len: 384,
  max_question_len: 64,
} as const;

export const questionAnswering = defineTask({
  summary: "Answer questions from a context",
  input: z.strictObject({ question: Text, context: Text }),
  parameters: z.strictObject({
    /** Default 1. */
    top_k: topK,
    /** Tokens of a long context that neighbouring windows share. Default 128, lowered to half a window. */
    doc_stride: z.int().positive().max(10_000).optional(),
    /** Tokens of an answer. Default 15. */
    max_answer_len: z.int().positive().max(10_000).optional(),
    /** Tokens of a window, question and special tokens included. Default 384, at most the model's. */
    max_seq_len: z.int().positive().max(100_000).optional(),
    /** A longer question is refused. Default 64. */
    max_question_len: z.int().positive().max(10_000).optional(),
    /** Whether "no answer", an empty one, may be given. */
    handle_impossible_answer: z.boolean().optional(),
    /** Widen answers to whole words. Default true. */
    align_to_words: z.boolean().optional(),
    offset_unit: offsetUnit,
  }),
  /** One answer, or with `top_k` above 1 several, the best first. */
  output: z.union([Answer, z.array(Answer)]),
  reads: ({ question, context }) => [question, context],
  readsInWindows: () => true,
  windows: ({ doc_stride, max_seq_len, max_question_len }) => ({
    shared: doc_stride ?? questionAnsweringDefaults.doc_stride,
    length: max_seq_len ?? questionAnsweringDefaults.max_seq_len,
    besideMax: max_question_len ?? questionAnsweringDefaults.max_question_len,
  }),
  huggingFace: {
    recognise: z.looseObject({
      inputs: z.looseObject({ question: z.unknown(), context: z.unknown() }),
    }),
  },
});
