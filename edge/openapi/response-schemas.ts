/** Answers as the published description words them. Requests, and the model object, stand with their routes. */
import * as z from "zod";
import { ErrorCode } from "#contract/errors.ts";
import { publishedTasks, taskTable } from "#contract/task-table.ts";
import { type Task, tasks } from "#contract/tasks.ts";
import { FinishReason, TokenLogprob } from "#contract/tasks/generation.ts";
import { CompletionUsage } from "./generation-schemas.ts";

const tokenCount = z.int().nonnegative();
const list = z.literal("list").describe("What this is.");
const model = z.string().describe("The model's own id.");

export const ApiUsage = z
  .object({
    prompt_tokens: tokenCount.describe("Tokens that were read."),
    completion_tokens: tokenCount.optional().describe("Tokens that were written; absent: none."),
    total_tokens: tokenCount.describe("Both: what the request cost, in units."),
    prompt_tokens_details: CompletionUsage.shape.prompt_tokens_details.optional(),
    truncated_inputs: z.int().positive().optional().describe("Inputs that were cut; absent: none."),
  })
  .describe("What was read of the inputs, and written.");

const Embedding = z.object({
  object: z.literal("embedding").describe("What this is."),
  index: z.int().nonnegative().describe("Place of the text in the request."),
  embedding: z
    .union([z.array(z.number()), z.base64()])
    .describe("Numbers, or base64 of little-endian f32, as encoding_format asks."),
});

export const EmbeddingsResponse = z.object({
  object: list,
  data: z.array(Embedding).describe("One vector per text, in order."),
  model,
  usage: ApiUsage,
});

/** Vectors alone travel in another form than they are shown in. */
const Vectors = z
  .union([z.array(z.number()), z.array(z.array(z.number()))])
  .describe('A vector; with pooling "none" one for each token.');

/** What callers see for one input. */
export function answerSchema(task: Task): z.ZodType {
  return task === "feature-extraction" ? Vectors : taskTable[task].output;
}

/** By the answer to one input: tasks that are answered alike have one schema. */
const taskResponses = new Map<z.ZodType, z.ZodType>();

export function taskResponseSchema(task: Task): z.ZodType {
  const answer = answerSchema(task);
  const known = taskResponses.get(answer);
  if (known !== undefined) return known;
  const made = z.object({
    object: list,
    data: z.array(answer).describe("One answer per input, in order."),
    model,
    usage: ApiUsage,
  });
  taskResponses.set(answer, made);
  return made;
}

export function huggingFaceResponseSchema(task: Task): z.ZodType {
  const answer = answerSchema(task);
  const answers = z.array(answer).describe("One answer per input, in order.");
  if (task !== "feature-extraction") return z.union([answer, answers]);
  const batches = z.array(z.array(z.array(z.array(z.number()))));
  return z.union([answers, batches.describe('With pooling "none", of a list.')]);
}

const RankedDocument = z.object({
  index: z.int().nonnegative().describe("Place of the document in the request."),
  relevance_score: z.number().describe("How well it answers the query, the higher the better."),
  document: z
    .object({ text: z.string().describe("The document.") })
    .optional()
    .describe("Where return_documents asked for it."),
});

export const RerankResponse = z.object({
  id: z.string().describe("Of the call that had this answer made: its x-request-id."),
  object: list,
  model,
  results: z.array(RankedDocument).describe("By score, the best first; at most top_n."),
  usage: ApiUsage,
  meta: z
    .object({
      api_version: z
        .object({ version: z.string().describe("2, whichever address was asked.") })
        .describe("Of Cohere's API that this answer follows."),
      tokens: z
        .object({
          input_tokens: tokenCount.describe("Tokens that were read."),
          output_tokens: tokenCount.describe("None: nothing is written."),
        })
        .describe("What was read and written."),
    })
    .describe("As Cohere words it; the tokens are those of usage."),
});

export const TeiRerankResponse = tasks.rerank.output;

function oneOrList(output: z.ZodType): z.ZodType {
  const data = z.array(output).describe("One answer per input, in order.");
  return z.union([output, z.object({ object: list, data, model })]);
}

export const TokenizeResponse = oneOrList(tasks.tokenize.output);
export const DetokenizeResponse = oneOrList(tasks.detokenize.output);

export const ErrorDetail = z.object({
  message: z.string().describe("What is wrong, and what to do."),
  type: z.string().describe("The family of errors it belongs to."),
  param: z.string().nullable().describe("The field at fault. Null: none is."),
  code: ErrorCode.describe("What is wrong, for programs."),
});

export const ErrorResponse = z.object({ error: ErrorDetail.describe("What is wrong.") });

export const CohereErrorResponse = ErrorResponse.extend({
  message: z.string().describe("The same as in error, where Cohere's clients look for it."),
});

export const HuggingFaceErrorResponse = z.object({
  error: z.string().describe("What is wrong, and what to do."),
  error_type: z.string().describe("The family of errors it belongs to."),
  error_detail: ErrorDetail.describe("The same as elsewhere."),
});

export const JobProgress = z.object({
  completed: z.int().nonnegative().describe("What the model has read."),
  total: z
    .int()
    .positive()
    .describe("What it reads in all: texts, or windows and pairs of them. It may grow."),
});

export const JobResponse = z.object({
  id: z.string().describe("The job's id."),
  object: z.literal("job").describe("What this is."),
  status: z
    .enum(["starting", "processing", "succeeded", "failed", "canceled"])
    .describe("Starting: it waits for a worker. Processing: one is at it."),
  task: z.string().describe("What is done."),
  model,
  created_at: z.int().describe("When it was made, in seconds since the epoch."),
  finished_at: z
    .int()
    .nullable()
    .describe("When it ended, in seconds since the epoch. Null: not yet."),
  progress: JobProgress.nullable().describe(
    "How far it is while it is computed. Null: no worker has said yet, or it has ended.",
  ),
  output: z.unknown().describe("Exactly the body of the synchronous call; null until then."),
  output_url: z
    .url()
    .optional()
    .describe("In a webhook, where the output is over 256 KiB: where it is read without a key."),
  error: ErrorDetail.nullable().describe("Why it failed. Null: it did not."),
  usage: ApiUsage.nullable().describe("What was read of the inputs. Null until it succeeded."),
  webhook_secret: z
    .string()
    .optional()
    .describe("Signs what the webhook is sent. Shown once, in the answer to the request."),
});

/** Of a job's stream, by the name of the event. */
export const JobEvent = z.union([
  z.object({ id: z.string().describe("The job's id.") }).describe("start: a worker has begun."),
  JobProgress,
  z
    .object({
      index: tokenCount.describe("Which input it is of."),
      choice: tokenCount.describe("Which choice of it."),
      tokens_before: tokenCount.describe("Tokens of the choice that were told before."),
      tokens: tokenCount.describe("How many it has grown by."),
      text: z.string().describe("What it has grown by. Often empty."),
      logprobs: z.array(TokenLogprob).nullable().describe("Of these tokens. Null: not asked for."),
      tool_calls: z
        .array(
          z.object({
            index: tokenCount.describe("Which call of the choice it is."),
            id: z.string().optional().describe("Of the call. With its first piece."),
            name: z.string().optional().describe("Of the tool. With its first piece."),
            arguments: z.string().describe("What its arguments have grown by."),
          }),
        )
        .optional()
        .describe("Calls of tools that have grown. Absent: none has."),
      finish_reason: FinishReason.nullable().describe("Why it ended. Null: it goes on."),
    })
    .describe("output: what a model has written next."),
  z
    .object({
      index: tokenCount.describe("Which input it answers."),
      output: z.unknown().describe("As the body of the native route shows it."),
    })
    .describe("output: the answer to one input, of a task that writes nothing."),
  z
    .object({
      id: z.string().describe("The job's id."),
      status: z.literal("succeeded").describe("How it ended."),
      model,
      usage: ApiUsage,
    })
    .describe("completed: nothing follows."),
  ErrorResponse,
]);
export const jobEventExample: z.infer<typeof JobEvent> = {
  index: 0,
  choice: 0,
  tokens_before: 2,
  tokens: 1,
  text: " Paris",
  logprobs: null,
  finish_reason: null,
};

export const OutputResponse = z.unknown().describe("Exactly the body of the synchronous call.");

export const HealthResponse = z.object({
  status: z.literal("ok").describe("The edge answers."),
});

/** Answers of single inputs that several operations show, by the names they are published under. */
export const answerSchemas: readonly [Task, z.ZodType][] = publishedTasks.map((task) => [
  task,
  answerSchema(task),
]);
