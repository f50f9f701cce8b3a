/** One sentence vector per input. */
import * as z from "zod";
import { limits } from "../limits.ts";
import { defineTask } from "../task.ts";
import { Text, TruncationDirection, truncate } from "./fields.ts";

export const featureExtraction = defineTask({
  summary: "Embed texts",
  /** A text, or the ids of its tokens in the model's own vocabulary (special tokens are added to neither twice). */
  input: z.union([Text, z.array(z.int().nonnegative()).min(1).max(limits.tokensPerRequestMax)]),
  parameters: z.strictObject({
    /** Scale each vector to length 1. Absent: as the model's own configuration says. */
    normalize: z.boolean().optional(),
    truncate,
    truncation_direction: TruncationDirection.optional(),
    /** Name of a prompt in the model's configuration, put before each text. */
    prompt_name: z.string().max(100).optional(),
  }),
  /** Base64 of `[dimensions]` little-endian f32. */
  output: z.base64(),
  reads: (input) => [input],
  ofSentenceEncoders: true,
  huggingFace: {
    input: Text,
    flat: true,
    unused: z.strictObject({
      dimensions: z.int().positive().optional(),
      encoding_format: z.enum(["float", "base64"]).optional(),
    }),
    listsOne: () => true,
  },
});
