/** Cosine similarity of one sentence to each of several others. */
import * as z from "zod";
import { limits } from "../limits.ts";

const sentence = z.string().min(1).max(limits.stringCharactersMax);

export const sentenceSimilarity = {
  input: z.strictObject({
    source_sentence: sentence,
    sentences: z.array(sentence).min(1).max(limits.inputsMax),
  }),
  parameters: z.strictObject({ truncate: z.boolean().optional() }),
  /** One cosine per sentence, −1…1, in the order given. */
  output: z.array(z.number()),
} as const;
