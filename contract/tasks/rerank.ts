/**
 * Documents by how well they answer a query. A cross-encoder reads query and document together; a sentence encoder
 * compares their vectors. The answer's `method` says which.
 */
import * as z from "zod";
import { limits } from "../limits.ts";
import { defineTask } from "../task.ts";
import { inputsLike, Text, TruncationDirection, truncate } from "./fields.ts";

export const RankedText = z.object({
  index: z.int().nonnegative().describe("Place of the document in the request."),
  score: z.number().describe("How well it answers the query, the higher the better."),
  text: z.string().optional().describe("The document, where it was asked for."),
});
export type RankedText = z.infer<typeof RankedText>;

export const rerank = defineTask({
  summary: "Sort documents by relevance to a query",
  example: {
    model: "all-MiniLM-L6-v2",
    input: {
      query: "How do I reset my password?",
      texts: ["Bananas are rich in potassium.", "Choose Forgot password."],
    },
    parameters: { return_text: true },
    output: [
      { index: 1, score: 0.61, text: "Choose Forgot password." },
      { index: 0, score: 0.02, text: "Bananas are rich in potassium." },
    ],
    tokens: 26,
  },
  input: z.strictObject({
    query: Text.describe("What the documents are compared with."),
    texts: z.array(Text).min(1).max(limits.inputsMax).describe("The documents."),
  }),
  parameters: z.strictObject({
    raw_scores: z
      .boolean()
      .optional()
      .describe(
        "Give a cross-encoder's logits, or the similarities of a sentence encoder's vectors, as they are.",
      ),
    return_text: z.boolean().optional().describe("Repeat each document in the answer."),
    truncate,
    truncation_direction: TruncationDirection.optional(),
    max_tokens_per_doc: z
      .int()
      .positive()
      .max(1_000_000)
      .optional()
      .describe("Tokens of a document that are read; a longer one is cut to them."),
  }),
  /** All documents by score, the best first. */
  output: z.array(RankedText),
  reads: ({ query, texts }, _, vectors) =>
    vectors ? [query, ...texts] : texts.flatMap((text) => [query, text]),
  ofSentenceEncoders: true,
  huggingFace: {
    recognise: inputsLike(z.looseObject({ query: z.unknown(), texts: z.unknown() })),
  },
});
