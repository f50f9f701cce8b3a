/** The text that tokens stand for. */
import * as z from "zod";
import { limits } from "../limits.ts";
import { defineTask } from "../task.ts";

export const detokenize = defineTask({
  summary: "Put tokens together to a text",
  /** Ids in the model's vocabulary. */
  input: z.array(z.int().nonnegative()).max(limits.tokensPerRequestMax),
  parameters: z.strictObject({
    /** Default true. */
    skip_special_tokens: z.boolean().optional(),
  }),
  output: z.object({ text: z.string() }),
  // Charged are the tokens given.
  reads: (input) => [input],
  readsInWindows: () => true,
  huggingFace: null,
});
