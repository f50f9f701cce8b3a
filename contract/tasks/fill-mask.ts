/** What may stand where a text holds the model's mask token. */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { boundTogether, Text, topK } from "./fields.ts";

export const Filling = z.object({
  /** The text with the mask filled. */
  sequence: z.string(),
  score: z.number(),
  token: z.int().nonnegative(),
  token_str: z.string(),
});
export type Filling = z.infer<typeof Filling>;

export const fillMask = defineTask({
  summary: "Fill the mask of a text",
  input: Text,
  parameters: z.strictObject({
    /** Default 5. */
    top_k: topK,
    /** Only these words are considered. */
    targets: z
      .array(z.string().min(1).max(100))
      .min(1)
      .max(1_000)
      .superRefine(boundTogether)
      .optional(),
  }),
  /** By score, the best first; of a text with several masks, such a list for each. */
  output: z.union([z.array(Filling), z.array(z.array(Filling))]),
  reads: (input) => [input],
  huggingFace: {},
});
