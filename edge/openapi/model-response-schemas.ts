/** OpenAI's responses, their items and the events that tell them, as the published description words them. */
import * as z from "zod";
import { FunctionTool, TextFormat, ToolChoice } from "../routes/response-request.ts";
import { ChatTokenLogprob, forcedTokens } from "./generation-schemas.ts";

const count = z.int().nonnegative();
const itemStatus = z
  .enum(["in_progress", "completed", "incomplete"])
  .describe("Whether it is whole. incomplete: the tokens ran out.");
const itemId = z.string().describe("The item's own id, which an item_reference may name.");
const callId = z.string().describe("Of the call: its output names it.");

export const OutputText = z.object({
  type: z.literal("output_text").describe("What this is."),
  text: z.string().describe("What was written."),
  annotations: z.array(z.never()).describe("There are none."),
  logprobs: z.array(ChatTokenLogprob).describe("Of each token. Empty: not asked for."),
});

export const WrittenMessage = z.object({
  id: itemId,
  type: z.literal("message").describe("What this is."),
  role: z.literal("assistant").describe("Who speaks."),
  status: itemStatus,
  content: z.array(OutputText).describe("What is said: one part."),
});

export const FunctionCall = z.object({
  id: itemId,
  type: z.literal("function_call").describe("A function is to be called."),
  status: itemStatus,
  call_id: callId,
  name: z.string().describe("Of the function."),
  arguments: z.string().describe("JSON text."),
});

const OutputItem = z.union([WrittenMessage, FunctionCall]);

export const InputText = z.object({
  type: z.literal("input_text").describe("What this is."),
  text: z.string().describe("A part of what was said."),
});

const GivenMessage = z.object({
  id: itemId,
  type: z.literal("message").describe("What this is."),
  role: z.enum(["user", "system", "developer"]).describe("Who speaks."),
  status: z.literal("completed").describe("It is whole."),
  content: z.array(InputText).describe("What was said."),
});

const FunctionCallOutput = z.object({
  id: itemId,
  type: z.literal("function_call_output").describe("What a function answered."),
  status: z.literal("completed").describe("It is whole."),
  call_id: callId,
  output: z.union([z.string(), z.array(InputText)]).describe("The answer."),
});

const ResponseUsage = z.object({
  input_tokens: count.describe("Tokens that were read."),
  input_tokens_details: z
    .object({
      cached_tokens: count.describe("Those that another request had the model read before."),
      cache_write_tokens: count.describe("Always 0."),
    })
    .describe("Of the tokens that were read."),
  output_tokens: count.describe("Tokens that were written."),
  output_tokens_details: z
    .object({
      reasoning_tokens: count.describe("Always 0."),
      forced_tokens: forcedTokens.optional(),
    })
    .describe("Of the tokens that were written."),
  total_tokens: count.describe("Both: what the request cost, in units."),
});

const repeated = "As the request said; its default where it said nothing.";

export const ModelResponse = z.object({
  id: z.string().describe("The response's own id."),
  object: z.literal("response").describe("What this is."),
  created_at: z.int().describe("When it was asked for, in seconds since the epoch."),
  background: z.boolean().describe("Whether it goes on without its caller."),
  error: z
    .object({
      code: z
        .enum(["invalid_prompt", "server_error"])
        .describe("Whose fault it is: the request's, or ours."),
      message: z.string().describe("What is wrong, and what to do."),
    })
    .nullable()
    .describe("Why it failed. Null: it did not."),
  model: z.string().describe("The model's own id."),
  instructions: z.string().nullable().describe(repeated),
  max_output_tokens: count.nullable().describe(repeated),
  metadata: z.record(z.string(), z.string()).describe(repeated),
  parallel_tool_calls: z.boolean().describe(repeated),
  previous_response_id: z.string().nullable().describe(repeated),
  prompt: z
    .object({
      id: z.string().describe("Of the prompt."),
      version: z.string().nullable().describe("Which one was asked for. Null: the newest."),
      variables: z.record(z.string(), z.unknown()).describe("Values of its variables."),
    })
    .optional()
    .describe("The prompt that was named. Absent: none."),
  reasoning: z
    .object({
      effort: z.null().describe("No model here is told how much to reason."),
      summary: z.null().describe("There is none."),
    })
    .describe("Not acted on."),
  store: z.boolean().describe(repeated),
  temperature: z.number().describe(repeated),
  text: z.object({ format: TextFormat }).describe("How the text looks."),
  tool_choice: ToolChoice,
  tools: z.array(FunctionTool).describe(repeated),
  top_logprobs: count.describe(repeated),
  top_p: z.number().describe(repeated),
  truncation: z.literal("disabled").describe("Nothing is left out."),
  output: z.array(OutputItem).describe("What was written, and what is to be called."),
  status: z
    .enum(["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"])
    .describe("How it stands. incomplete: its tokens ran out."),
  incomplete_details: z
    .object({ reason: z.literal("max_output_tokens").describe("Its tokens ran out.") })
    .nullable()
    .describe("Why it is not whole. Null: it is, or it goes on."),
  usage: ResponseUsage.optional().describe("What was read and written. Absent: not known yet."),
});

export const ResponseItemList = z.object({
  object: z.literal("list").describe("What this is."),
  data: z
    .array(z.union([WrittenMessage, GivenMessage, FunctionCall, FunctionCallOutput]))
    .describe("What the response was given, with what was said before it."),
  first_id: z.string().describe("Of the first item here."),
  last_id: z.string().describe("Of the last: send it as after for those that follow."),
  has_more: z.boolean().describe("Whether others follow."),
});

const lifecycle = [
  "created",
  "queued",
  "in_progress",
  "completed",
  "incomplete",
  "failed",
] as const;
const parts = [
  "output_item.added",
  "output_item.done",
  "content_part.added",
  "content_part.done",
  "output_text.delta",
  "output_text.done",
  "function_call_arguments.delta",
  "function_call_arguments.done",
] as const;
const [created, ...others] = [...lifecycle, ...parts].map((name) => `response.${name}`);

export const ModelResponseEvent = z.object({
  type: z
    .enum([created ?? "", ...others, "error"])
    .describe("What happened; the event bears the same name. error: the stream broke off."),
  sequence_number: count.describe("From 0: what starting_after takes."),
  response: ModelResponse.optional().describe("Of an event of the whole response."),
  item: OutputItem.optional().describe("The item that is added, or whole."),
  part: OutputText.optional().describe("The part that is added, or whole."),
  item_id: z.string().optional().describe("The item that grows."),
  output_index: count.optional().describe("Its place in output."),
  content_index: count.optional().describe("The part's place in the item."),
  delta: z.string().optional().describe("What text or arguments grow by."),
  text: z.string().optional().describe("The whole text."),
  name: z.string().optional().describe("Of the function."),
  arguments: z.string().optional().describe("The whole arguments."),
  logprobs: z.array(ChatTokenLogprob).optional().describe("Of the tokens, where asked for."),
  code: z.string().optional().describe("Of an error."),
  message: z.string().optional().describe("Of an error: what is wrong, and what to do."),
  param: z.string().nullable().optional().describe("Of an error: the field at fault."),
});
