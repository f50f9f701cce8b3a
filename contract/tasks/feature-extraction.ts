/** One sentence vector per input. */
import * as z from "zod";
import { limits } from "../limits.ts";

export const TruncationDirection = z.enum(["left", "right"]);

export const featureExtraction = {
  /** A text, or the ids of its tokens in the model's own vocabulary (special tokens are added to neither twice). */
  input: z.union([
    z.string().min(1).max(limits.stringCharactersMax),
    z.array(z.int().nonnegative()).min(1).max(limits.tokensPerRequestMax),
  ]),
  parameters: z.strictObject({
    /** Scale each vector to length 1. Absent: as the model's own configuration says. */
    normalize: z.boolean().optional(),
    /** Cut inputs that are too long instead of refusing them. */
    truncate: z.boolean().optional(),
    truncation_direction: TruncationDirection.optional(),
    /** Name of a prompt in the model's configuration, put before each text. */
    prompt_name: z.string().max(100).optional(),
  }),
  /** Base64 of `[dimensions]` little-endian f32. */
  output: z.base64(),
} as const;
