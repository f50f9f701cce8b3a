/** What may stand where a text holds the model's mask token. */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { boundTogether, Text, topK } from "./fields.ts";

export const Filling = z.object({
  sequence: z.string().describe("The text with the mask filled."),
  score: z.number().describe("How likely the token is there, from 0 to 1."),
  token: z.int().nonnegative().describe("The id of the token."),
  token_str: z.string().describe("The token as the tokenizer writes it."),
});
export type Filling = z.infer<typeof Filling>;

export const fillMask = defineTask({
  summary: "Fill the mask of a text",
  example: {
    model: "bert-base-uncased",
    input: "The capital of France is [MASK].",
    parameters: { top_k: 1 },
    output: [
      {
        sequence: "the capital of france is paris.",
        score: 0.42,
        token: 3000,
        token_str: "paris",
      },
    ],
    tokens: 9,
  },
  input: Text,
  parameters: z.strictObject({
    top_k: topK.describe("How many fillings are kept, the best first. Default: 5."),
    targets: z
      .array(z.string().min(1).max(100))
      .min(1)
      .max(1_000)
      .superRefine(boundTogether)
      .optional()
      .describe("Words or tokens of the vocabulary: only these are considered."),
  }),
  /** By score, the best first; of a text with several masks, such a list for each. */
  output: z.union([z.array(Filling), z.array(z.array(Filling))]),
  reads: (input) => [input],
  huggingFace: {},
});
