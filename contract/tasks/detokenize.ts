/** The text that tokens stand for. */
import * as z from "zod";
import { limits } from "../limits.ts";
import { defineTask } from "../task.ts";

export const detokenize = defineTask({
  summary: "Put tokens together to a text",
  example: {
    model: "all-MiniLM-L6-v2",
    input: [101, 7592, 2088, 102],
    parameters: {},
    output: { text: "hello world" },
    tokens: 4,
  },
  input: z
    .array(z.int().nonnegative())
    .max(limits.tokensPerRequestMax)
    .describe("Token ids of the model's own vocabulary."),
  parameters: z.strictObject({
    skip_special_tokens: z
      .boolean()
      .optional()
      .describe("Leave special tokens out of the text. Default: true."),
  }),
  output: z.object({ text: z.string().describe("What the tokens stand for.") }),
  // Charged are the tokens given.
  reads: (input) => [input],
  readsInWindows: () => true,
  huggingFace: null,
});
