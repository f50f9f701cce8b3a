/** POST /v1/chat/completions: OpenAI's chat, of every model that continues a conversation. */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { generationParameters } from "#contract/tasks/generation.ts";
import type { EdgeContext } from "../context.ts";
import { validate } from "../http/validation.ts";
import { PromptReference, promptedBody } from "../prompts/apply-prompt.ts";
import { AnyObject, Messages, readMessages } from "../tasks/chat-messages.ts";
import { completionIdentity } from "../tasks/completion-identity.ts";
import { fieldsOf } from "../tasks/fields-of.ts";
import {
  type JobRequest,
  jobRequest,
  modelForTask,
  noteUnused,
  type TaskCall,
} from "../tasks/job-request.ts";
import { AddressedModelName, ModelName } from "../tasks/model-name.ts";
import {
  checkStreamOptions,
  noteOwnIds,
  samplingFields,
  samplingParameters,
} from "../tasks/sampling.ts";
import { serveJob } from "../tasks/serve-job.ts";
import { readParameters } from "../tasks/task-inputs.ts";
import { readTools, toolFields, unreadTools } from "../tasks/tools.ts";
import { refuseUnsupported } from "../tasks/unsupported.ts";
import { webhookFields } from "../webhooks/read-webhook.ts";

const notActedOn = "Accepted, and not acted on.";

/** Of OpenAI's schema and of TGI's; nothing is done with them. */
const unused = {
  store: z.boolean().optional().describe(notActedOn),
  metadata: z.record(z.string(), z.string()).optional().describe(notActedOn),
  service_tier: z.string().optional().describe(notActedOn),
  safety_identifier: z.string().max(64).optional().describe(notActedOn),
  prompt_cache_key: z.string().optional().describe(notActedOn),
  prompt_cache_retention: z.string().optional().describe(notActedOn),
  prompt_cache_options: AnyObject.optional(),
  verbosity: z.enum(["low", "medium", "high"]).optional().describe(notActedOn),
  reasoning_effort: z.string().optional().describe(notActedOn),
  prediction: AnyObject.optional(),
  tool_prompt: z.string().optional().describe(notActedOn),
} as const;

export const ResponseFormat = z
  .strictObject({ type: z.literal("text").describe("Text is what is written.") })
  .describe("Only text can be asked for.");

/** What of these asks for nothing is taken. */
const unsupported = {
  response_format: ResponseFormat.optional(),
  modalities: z.array(z.literal("text")).min(1).optional().describe("Only text is written."),
  audio: z.null().optional().describe("No model here speaks."),
  web_search_options: z.null().optional().describe("No model here searches."),
  moderation: z.null().optional().describe("Nothing is moderated here."),
} as const;

const fields = {
  ...samplingFields,
  max_completion_tokens: generationParameters.max_tokens.describe(
    "The same as max_tokens, under its newer name.",
  ),
  logprobs: z.boolean().optional().describe("Each token's log probability is told."),
  top_logprobs: generationParameters.top_logprobs.describe(
    "How many alternatives to each token are told. Only with logprobs.",
  ),
  ...unused,
  ...unsupported,
  ...webhookFields,
} as const;

/** As published; what is read of `messages` is chat-messages.ts's, and of tools tools.ts's. */
export const ChatCompletionsRequest = z.strictObject({
  model: ModelName.optional().describe("Which model. Default: the prompt's."),
  messages: Messages.optional().describe("What was said so far. With a prompt it comes first."),
  prompt: PromptReference.optional().describe(
    "A stored prompt: its messages come before these, and its values for what is left out.",
  ),
  ...fields,
  ...toolFields,
});
/** The address names the model. */
export const AddressedChatRequest = ChatCompletionsRequest.extend({ model: AddressedModelName });

const Body = z.strictObject({
  model: ModelName,
  messages: z.unknown(),
  ...fields,
  ...unreadTools,
});
const AddressedBody = Body.extend({ model: AddressedModelName });

export function createChatCompletion(c: EdgeContext): Promise<Response> {
  return serveJob(c, readChatCompletion);
}

/** @param address the model of the call's address; null: the body names it */
export async function readChatCompletion(
  c: EdgeContext,
  given: unknown,
  address: string | null = null,
): Promise<JobRequest> {
  const { body: value, addressed } = await promptedBody(c, given, address);
  refuseUnsupported(unsupported, value);
  const body: z.infer<typeof AddressedBody> =
    addressed === null ? validate(Body, value) : validate(AddressedBody, value);
  checkStreamOptions(body);
  const { messages, unused: inMessages } = readMessages(body.messages);
  const tools = readTools(body);
  const model = await modelForTask(c, addressed ?? body.model ?? "", "chat-completion");
  const call = {
    task: "chat-completion" as const,
    inputs: [{ messages }],
    parameters: readParameters(
      "chat-completion",
      { ...parametersOf(body), ...tools.parameters },
      [],
    ),
  } satisfies TaskCall<"chat-completion">;
  const { webhook, webhook_events_filter, webhook_secret, user } = body;
  const sent = { ...fieldsOf(body, unused), user, ...inMessages };
  return jobRequest(c, call, {
    model: model.id,
    nameOf: () => "messages",
    rendering: {
      route: "openai.chat",
      ...completionIdentity(c, "chatcmpl"),
      maxTokensField: body.max_completion_tokens === undefined ? null : "max_completion_tokens",
      includeUsage: body.stream_options?.include_usage === true,
      ...(tools.older && { functionCalls: true }),
    },
    stream: body.stream === true,
    warnings: [...noteUnused(c, sent), ...noteOwnIds(model.id, body)],
    webhook: { webhook, webhook_events_filter, webhook_secret },
  });
}

function parametersOf(body: z.infer<typeof AddressedBody>) {
  return {
    ...samplingParameters(body),
    max_tokens: maxTokensOf(body),
    top_logprobs: topLogprobsOf(body),
  };
}

function maxTokensOf({ max_tokens: older, max_completion_tokens: newer }: Limits) {
  if (older !== undefined && newer !== undefined && older !== newer) {
    throw new CodedError(
      "invalid_value",
      `max_tokens is ${older} and max_completion_tokens ${newer}: they mean the same. Send one of them.`,
      { param: "max_completion_tokens" },
    );
  }
  return newer ?? older;
}

type Limits = { max_tokens?: number | undefined; max_completion_tokens?: number | undefined };

/** @returns undefined where none are asked for */
function topLogprobsOf({ logprobs, top_logprobs: top }: Logprobs): number | undefined {
  if (logprobs === true) return top ?? 0;
  if (top === undefined || top === 0) return undefined;
  throw new CodedError(
    "invalid_value",
    `top_logprobs is ${top} where logprobs are not asked for. Set logprobs to true, or leave it out.`,
    { param: "top_logprobs" },
  );
}

type Logprobs = { logprobs?: boolean | undefined; top_logprobs?: number | undefined };
