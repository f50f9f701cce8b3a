/** One sentence vector per input, or one vector per token. */
import * as z from "zod";
import { estimateCl100k } from "../cl100k-estimate.ts";
import { limits } from "../limits.ts";
import { defineTask } from "../task.ts";
import { Text, TruncationDirection, truncate } from "./fields.ts";

/** Numbers of all token vectors that one request may ask for: 512 tokens of 1 024. 2 MiB as f32, some 10 MB as JSON. */
export const tokenNumbersMax = 2 ** 19;

/** Base64 of `[tokens, dimensions]` little-endian f32, special tokens included. */
export const TokenVectors = z.object({
  vectors: z.base64().describe("Numbers of all tokens, one after the other."),
  dimensions: z.int().positive().describe("Numbers of one token."),
});
export type TokenVectors = z.infer<typeof TokenVectors>;

/**
 * In whose vocabulary token ids are given: the model's own; cl100k_base, in which OpenAI's clients send them; or
 * `either`, the model's own where they carry its special tokens at both ends, else cl100k_base.
 */
export const TokenIdVocabulary = z.enum(["model", "cl100k_base", "either"]);
export type TokenIdVocabulary = z.infer<typeof TokenIdVocabulary>;

export const featureExtraction = defineTask({
  summary: "Embed texts",
  example: {
    model: "all-MiniLM-L6-v2",
    input: "The sun rises in the east.",
    parameters: { normalize: true },
    output: "AACAPwAAAD8AABDA",
    tokens: 9,
  },
  input: z
    .union([Text, z.array(z.int().nonnegative()).min(1).max(limits.tokensPerRequestMax)])
    .describe(
      "A text, or the ids of its tokens: the model's own with its special tokens or without.",
    ),
  parameters: z.strictObject({
    normalize: z
      .boolean()
      .optional()
      .describe("Scale each vector to length 1. Default: as the model's own configuration says."),
    truncate,
    truncation_direction: TruncationDirection.optional(),
    prompt_name: z
      .string()
      .max(100)
      .optional()
      .describe(
        "Name of a prompt of the model's, put before each text. Default: the model's own default, which few have.",
      ),
    pooling: z
      .enum(["none"])
      .optional()
      .describe("A vector for each token instead of one of the text. Default: as the model pools."),
    token_ids: TokenIdVocabulary.optional().describe(
      "In whose vocabulary token ids are given. Default: the model's own.",
    ),
  }),
  /** Base64 of `[dimensions]` little-endian f32; with `pooling: "none"` token vectors. */
  output: z.union([z.base64(), TokenVectors]),
  reads: (input, { token_ids: vocabulary = "model" }) => [
    typeof input === "string" || vocabulary === "model" ? input : { tokens: estimateCl100k(input) },
  ],
  ofSentenceEncoders: true,
  huggingFace: {
    input: Text,
    flat: true,
    unused: z.strictObject({
      dimensions: z.int().positive().optional().describe("Accepted, and not acted on."),
      encoding_format: z
        .enum(["float", "base64"])
        .optional()
        .describe("Accepted, and not acted on."),
    }),
    listsOne: () => true,
  },
});
