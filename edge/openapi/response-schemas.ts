/** Answers as the published description words them. Requests, and the model object, stand with their routes. */
import * as z from "zod";
import { ErrorCode } from "#contract/errors.ts";

const tokenCount = z.int().nonnegative();

const ApiUsage = z.object({ prompt_tokens: tokenCount, total_tokens: tokenCount });

export const EmbeddingsResponse = z.object({
  object: z.literal("list"),
  data: z.array(
    z.object({
      object: z.literal("embedding"),
      index: z.int().nonnegative(),
      embedding: z
        .union([z.array(z.number()), z.base64()])
        .describe("Numbers, or base64 of little-endian f32, as encoding_format asks."),
    }),
  ),
  model: z.string(),
  usage: ApiUsage,
});

export const TaskResponse = z.object({
  object: z.literal("list"),
  data: z.array(z.unknown()).describe("One answer per input, in order."),
  model: z.string(),
  usage: ApiUsage,
});

export const FeatureExtractionResponse = z
  .array(z.array(z.number()))
  .describe("One vector per text.");

export const SentenceSimilarityResponse = z
  .array(z.number())
  .describe("One cosine per sentence, -1 to 1.");

const ErrorDetail = z.object({
  message: z.string(),
  type: z.string(),
  param: z.string().nullable(),
  code: ErrorCode,
});

export const ErrorResponse = z.object({ error: ErrorDetail });

export const HuggingFaceErrorResponse = z.object({
  error: z.string(),
  error_type: z.string(),
  error_detail: ErrorDetail,
});

export const JobResponse = z.object({
  id: z.string(),
  object: z.literal("job"),
  status: z.enum(["starting", "processing", "succeeded", "failed", "canceled"]),
  task: z.string(),
  model: z.string(),
  created_at: z.int().describe("Seconds since the epoch."),
  finished_at: z.int().nullable(),
  output: z.unknown().describe("Exactly the body of the synchronous call; null until then."),
  error: ErrorDetail.nullable(),
  usage: ApiUsage.nullable(),
  webhook_secret: z
    .string()
    .optional()
    .describe("Once, in the answer to the request that made it."),
});

export const HealthResponse = z.object({ status: z.literal("ok") });
