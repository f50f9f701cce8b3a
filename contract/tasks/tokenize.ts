/** The tokens of a text, as a model reads them, and where each stands. */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { offsetUnit, Text } from "./fields.ts";

export const tokenize = defineTask({
  summary: "Split texts into tokens",
  input: Text,
  parameters: z.strictObject({
    /** Default true. */
    add_special_tokens: z.boolean().optional(),
    offset_unit: offsetUnit,
  }),
  output: z.object({
    /** Ids in the model's vocabulary. */
    tokens: z.array(z.int().nonnegative()),
    count: z.int().nonnegative(),
    /** `[start, end]` of each token; special tokens stand nowhere, `[0, 0]`. */
    offsets: z.array(z.tuple([z.int().nonnegative(), z.int().nonnegative()])),
  }),
  // Charged are the tokens made.
  reads: (input) => [input],
  readsInWindows: () => true,
  huggingFace: null,
});
