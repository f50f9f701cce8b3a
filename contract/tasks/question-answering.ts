/** The part of a context that answers a question. */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { inputsLike, offsetUnit, Text, topK } from "./fields.ts";

export const Answer = z.object({
  answer: z.string().describe("The part of the context that answers; empty: none does."),
  score: z.number().describe("How sure the model is, from 0 to 1."),
  start: z.int().nonnegative().describe("Where the answer begins in the context."),
  end: z.int().nonnegative().describe("Where it ends, exclusive."),
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
  example: {
    model: "distilbert-base-cased-distilled-squad",
    input: { question: "When was it finished?", context: "The bridge was finished in 1932." },
    parameters: {},
    output: { answer: "1932", score: 0.97, start: 27, end: 31 },
    tokens: 16,
  },
  input: z.strictObject({
    question: Text.describe("What is asked."),
    context: Text.describe(
      "Where the answer is looked for. It may be longer than the model reads at once.",
    ),
  }),
  parameters: z.strictObject({
    top_k: topK.describe("How many answers are given, the best first. Default: 1."),
    doc_stride: z
      .int()
      .positive()
      .max(10_000)
      .optional()
      .describe(
        "Tokens of a long context that neighbouring windows share. Default: 128, lowered to half a window.",
      ),
    max_answer_len: z
      .int()
      .positive()
      .max(10_000)
      .optional()
      .describe("Tokens of an answer, at most. Default: 15."),
    max_seq_len: z
      .int()
      .positive()
      .max(100_000)
      .optional()
      .describe(
        "Tokens of a window, question and special tokens included. Default: 384, at most the model's.",
      ),
    max_question_len: z
      .int()
      .positive()
      .max(10_000)
      .optional()
      .describe("Tokens of the question, at most; a longer one is refused. Default: 64."),
    handle_impossible_answer: z
      .boolean()
      .optional()
      .describe("Whether an empty answer may be given, where there is none. Default: false."),
    align_to_words: z.boolean().optional().describe("Widen answers to whole words. Default: true."),
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
    recognise: inputsLike(z.looseObject({ question: z.unknown(), context: z.unknown() })),
  },
});
