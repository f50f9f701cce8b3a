/** The tokens of a text, as a model reads them, and where each stands. */
import * as z from "zod";
import { defineTask } from "../task.ts";
import { offsetUnit, Text } from "./fields.ts";

export const tokenize = defineTask({
  summary: "Split texts into tokens",
  example: {
    model: "all-MiniLM-L6-v2",
    input: "Hello world",
    parameters: {},
    output: {
      tokens: [101, 7592, 2088, 102],
      count: 4,
      offsets: [
        [0, 0],
        [0, 5],
        [6, 11],
        [0, 0],
      ],
    },
    tokens: 4,
  },
  input: Text,
  parameters: z.strictObject({
    add_special_tokens: z
      .boolean()
      .optional()
      .describe("Put the model's special tokens around the text. Default: true."),
    offset_unit: offsetUnit,
  }),
  output: z.object({
    tokens: z.array(z.int().nonnegative()).describe("Ids in the model's vocabulary."),
    count: z.int().nonnegative().describe("How many tokens there are."),
    offsets: z
      .array(z.tuple([z.int().nonnegative(), z.int().nonnegative()]))
      .describe("Start and end of each token in the text; special tokens stand nowhere, [0, 0]."),
  }),
  // Charged are the tokens made.
  reads: (input) => [input],
  readsInWindows: () => true,
  huggingFace: null,
});
