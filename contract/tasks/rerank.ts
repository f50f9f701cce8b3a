/**
 * Documents by how well they answer a query. A cross-encoder reads query and document together; a sentence encoder compares
 * their vectors. The answer's `method` says which.
 */
import * as z from "zod";
import { limits } from "../limits.ts";
import { defineTask } from "../task.ts";
import { Text, TruncationDirection, truncate } from "./fields.ts";

export const RankedText = z.object({
  /** Place of the document in the request. */
  index: z.int().nonnegative(),
  score: z.number(),
  text: z.string().optional(),
});
export type RankedText = z.infer<typeof RankedText>;

export const rerank = defineTask({
  summary: "Sort documents by relevance to a query",
  input: z.strictObject({
    query: Text,
    texts: z.array(Text).min(1).max(limits.inputsMax),
  }),
  parameters: z.strictObject({
    /** A cross-encoder's logits, and the similarities of a sentence encoder's vectors, as they are. */
    raw_scores: z.boolean().optional(),
    return_text: z.boolean().optional(),
    truncate,
    truncation_direction: TruncationDirection.optional(),
    /** Tokens of a document that are read, special tokens aside; what is longer is cut. Absent: as many as fit the model. */
    max_tokens_per_doc: z.int().positive().max(1_000_000).optional(),
  }),
  /** All documents by score, the best first. */
  output: z.array(RankedText),
  reads: ({ query, texts }, _, vectors) =>
    vectors ? [query, ...texts] : texts.flatMap((text) => [query, text]),
  ofSentenceEncoders: true,
  huggingFace: {
    recognise: z.looseObject({ inputs: z.looseObject({ query: z.unknown(), texts: z.unknown() }) }),
  },
});
