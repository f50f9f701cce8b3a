/** Answers as the published description words them. Requests, and the model object, stand with their routes. */
import * as z from "zod";
import { ErrorCode } from "#contract/errors.ts";
import { type Task, tasks } from "#contract/tasks.ts";
import { taskTable } from "../task-table.ts";

const tokenCount = z.int().nonnegative();

const ApiUsage = z.object({
  prompt_tokens: tokenCount,
  total_tokens: tokenCount,
  truncated_inputs: z.int().positive().optional().describe("Inputs that were cut; absent: none."),
});

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

/** What callers see for one input. Vectors alone travel in another form than they are shown in. */
function answerSchema(task: Task): z.ZodType {
  if (task !== "feature-extraction") return taskTable[task].output;
  return z
    .union([z.array(z.number()), z.array(z.array(z.number()))])
    .describe('A vector; with pooling "none" one for each token.');
}

export function taskResponseSchema(task: Task): z.ZodType {
  return z.object({
    object: z.literal("list"),
    data: z.array(answerSchema(task)).describe("One answer per input, in order."),
    model: z.string(),
    usage: ApiUsage,
  });
}

export function huggingFaceResponseSchema(task: Task): z.ZodType {
  const list = z.array(answerSchema(task)).describe("One answer per input, in order.");
  if (task !== "feature-extraction") return z.union([answerSchema(task), list]);
  const batches = z.array(z.array(z.array(z.array(z.number()))));
  return z.union([list, batches.describe('With pooling "none", of a list.')]);
}

export const RerankResponse = z.object({
  id: z.string().describe("Of the call that had this answer made: its x-request-id."),
  object: z.literal("list"),
  model: z.string(),
  results: z
    .array(
      z.object({
        index: z.int().nonnegative(),
        relevance_score: z.number(),
        document: z.object({ text: z.string() }).optional(),
      }),
    )
    .describe("By score, the best first; at most top_n."),
  usage: ApiUsage,
  meta: z
    .object({
      api_version: z.object({ version: z.string() }),
      tokens: z.object({ input_tokens: tokenCount, output_tokens: tokenCount }),
    })
    .describe("As Cohere words it; the tokens are those of usage."),
});

export const TeiRerankResponse = tasks.rerank.output;

function oneOrList(output: z.ZodType): z.ZodType {
  const list = z.object({ object: z.literal("list"), data: z.array(output), model: z.string() });
  return z.union([output, list]);
}

export const TokenizeResponse = oneOrList(tasks.tokenize.output);
export const DetokenizeResponse = oneOrList(tasks.detokenize.output);

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
  output_url: z
    .url()
    .optional()
    .describe("In a webhook, where the output is over 256 KiB: where it is read without a key."),
  error: ErrorDetail.nullable(),
  usage: ApiUsage.nullable(),
  webhook_secret: z
    .string()
    .optional()
    .describe("Once, in the answer to the request that made it."),
});

export const HealthResponse = z.object({ status: z.literal("ok") });
