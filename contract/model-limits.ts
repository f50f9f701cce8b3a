/** How much a model takes, and what it gives. */
import * as z from "zod";

export const ModelLimits = z.object({
  /** Longest input in tokens, special tokens included. */
  maxTokens: z.int().positive(),
  /** Length of a sentence vector; null for a model that makes none. */
  dimensions: z.int().positive().nullable(),
  /** Token ids are 0 … vocabularySize − 1. */
  vocabularySize: z.int().positive(),
});
export type ModelLimits = z.infer<typeof ModelLimits>;
