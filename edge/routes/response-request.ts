/**
 * The body of POST /v1/responses: what OpenAI's has, what is refused of it, and the chat body that says the same. The
 * chat route judges that, and what it finds wrong is told by the names of this one.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { generationParameters } from "#contract/tasks/generation.ts";
import type { EdgeContext } from "../context.ts";
import { utf8Bytes } from "../http/utf8-bytes.ts";
import { validate } from "../http/validation.ts";
import { responseLimits } from "../responses/response-limits.ts";
import { PromptReference } from "../prompts/apply-prompt.ts";
import { AnyObject } from "../tasks/chat-messages.ts";
import { fieldsOf } from "../tasks/fields-of.ts";
import { noteUnused } from "../tasks/job-request.ts";
import { ModelName } from "../tasks/model-name.ts";
import { refuseUnsupported, unsupported } from "../tasks/unsupported.ts";
import { FreeText } from "../tasks/structured-output.ts";
import { webhookFields } from "../webhooks/read-webhook.ts";
import { checkMetadata, MetadataPairs } from "./fine-tuning-request.ts";
import { ResponseInput } from "./response-input.ts";

const notActedOn = "Accepted, and not acted on.";

/** Of OpenAI's schema; nothing is done with them. */
const unused = {
  user: z.string().optional().describe(notActedOn),
  safety_identifier: z.string().max(64).optional().describe(notActedOn),
  prompt_cache_key: z.string().optional().describe(notActedOn),
  prompt_cache_retention: z.string().optional().describe(notActedOn),
  prompt_cache_options: AnyObject.optional(),
  service_tier: z.string().optional().describe(notActedOn),
  reasoning: AnyObject.optional(),
  max_tool_calls: z.int().optional().describe(notActedOn),
} as const;

/** What of these asks for nothing is taken. */
const unsupportedFields = {
  truncation: z
    .literal("disabled")
    .optional()
    .describe("What does not fit the model is refused: nothing is left out of it."),
  conversation: z.null().optional().describe("Name the response before with previous_response_id."),
  context_management: z.array(z.unknown()).max(0).optional().describe("Nothing is compacted here."),
  moderation: z.null().optional().describe("Nothing is moderated here."),
} as const;

export const FunctionTool = z
  .strictObject({
    type: z.literal("function").describe("Only functions can be called."),
    name: z
      .string()
      .regex(/^[\w-]{1,64}$/)
      .describe("Of the function: letters, digits, - and _."),
    description: z.string().nullish().describe("What it does, for the model."),
    parameters: z
      .record(z.string(), z.unknown())
      .nullish()
      .describe("A JSON Schema of its arguments."),
    strict: z.boolean().nullish().describe("Whether arguments follow the schema to the letter."),
  })
  .describe("A function that the model may call.");
type FunctionTool = z.infer<typeof FunctionTool>;

const toolsMax = 128;
export const ToolChoiceFunction = z.strictObject({
  type: z.literal("function").describe("Only functions can be called."),
  name: z.string().describe("Of the function."),
});

export const ToolChoice = z
  .union([
    z.enum(["none", "auto", "required"]),
    ToolChoiceFunction,
    z.strictObject({
      type: z.literal("allowed_tools").describe("Only some may be called."),
      mode: z.enum(["auto", "required"]).describe("Whether one must be."),
      tools: z.array(ToolChoiceFunction).min(1).max(toolsMax).describe("Those that may."),
    }),
  ])
  .describe("Whether functions are called, and which. Default: auto.");

export const TextFormat = z
  .discriminatedUnion("type", [
    FreeText,
    z.strictObject({ type: z.literal("json_object").describe("A JSON object.") }),
    z.strictObject({
      type: z.literal("json_schema").describe("JSON of a schema."),
      name: z
        .string()
        .regex(/^[\w-]{1,64}$/)
        .describe("Of the schema: letters, digits, - and _."),
      schema: z.record(z.string(), z.unknown()).describe("A JSON Schema."),
      description: z.string().nullish().describe("What it is for, for the model."),
      strict: z.boolean().nullish().describe("Whether it is followed to the letter."),
    }),
  ])
  .describe("What the text looks like. Default: any text.");
type TextFormat = z.infer<typeof TextFormat>;

const logprobsInclude = "message.output_text.logprobs";
const includes = [
  logprobsInclude,
  "reasoning.encrypted_content",
  "file_search_call.results",
  "web_search_call.results",
  "web_search_call.action.sources",
  "message.input_image.image_url",
  "computer_call_output.output.image_url",
  "code_interpreter_call.outputs",
] as const;

const { temperature, top_p, max_tokens, top_logprobs } = generationParameters;

const fields = {
  model: ModelName.optional().describe("Which model. Default: the prompt's."),
  prompt: PromptReference.optional().describe(
    "A stored prompt: its messages come first, and its values for what is left out.",
  ),
  instructions: z
    .string()
    .optional()
    .describe("A message of the system before all others. Of this response alone."),
  previous_response_id: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe("The response that this one follows: what was said until then comes before."),
  stream: z
    .boolean()
    .optional()
    .describe("The answer comes as it is written, as server-sent events. Default: false."),
  stream_options: z
    .strictObject({
      include_obfuscation: z
        .literal(false)
        .optional()
        .describe("Events are padded to no length here: only false can be asked for."),
    })
    .optional()
    .describe("How the stream looks. Only with stream."),
  background: z
    .boolean()
    .optional()
    .describe("It is answered at once, and goes on without its caller. Default: false."),
  store: z.boolean().optional().describe("Whether it is kept for 30 days. Default: true."),
  metadata: MetadataPairs.optional().describe("Up to 16 pairs, kept with it."),
  max_output_tokens: max_tokens,
  temperature,
  top_p,
  top_logprobs: top_logprobs.describe(
    `How many alternatives to each token are told. Only where include names ${logprobsInclude}.`,
  ),
  include: z.array(z.enum(includes)).optional().describe("What else is told."),
  text: z
    .strictObject({
      format: TextFormat.optional(),
      verbosity: z.enum(["low", "medium", "high"]).optional().describe(notActedOn),
    })
    .optional()
    .describe("How the text looks."),
  tools: z.array(FunctionTool).max(toolsMax).optional().describe("What the model may call."),
  tool_choice: ToolChoice.optional(),
  parallel_tool_calls: z
    .boolean()
    .optional()
    .describe("Whether several may be called at once. Default: true."),
  ...unused,
  ...unsupportedFields,
  ...webhookFields,
} as const;

/** As published; what is read of `input` is response-input.ts's. */
export const ResponsesRequest = z.strictObject({
  input: ResponseInput.optional().describe("What is said. It may be left out with a prompt."),
  ...fields,
});

const Body = z.strictObject({ input: z.unknown().optional(), ...fields });
export type ResponsesBody = z.infer<typeof Body>;

/** @throws CodedError that names the field, its limit and what to do */
export function readResponsesBody(value: unknown): ResponsesBody {
  refuseUnsupported(unsupportedFields, value);
  refuseOtherTools(value);
  const body = validate(Body, value);
  if (body.prompt === undefined && (body.input === undefined || body.input === null)) {
    throw new CodedError(
      "missing_required_parameter",
      "Missing required parameter: input. Send a text, or items.",
      {
        param: "input",
      },
    );
  }
  checkMetadata(body.metadata ?? {});
  checkTogether(body);
  return body;
}

/** By name, however many there are that are functions. */
function refuseOtherTools(value: unknown): void {
  if (typeof value !== "object" || value === null || !("tools" in value)) return;
  const tools: unknown[] = Array.isArray(value.tools) ? value.tools : [];
  const index = tools.findIndex(
    (tool) =>
      typeof tool === "object" && tool !== null && "type" in tool && tool.type !== "function",
  );
  if (index !== -1) {
    throw unsupported(["tools", index, "type"], "Only functions are called here: send function.");
  }
}

function checkTogether({ background, store, stream, stream_options: options }: ResponsesBody) {
  if (background === true && store === false) {
    throw new CodedError(
      "invalid_value",
      "background is true and store false: what goes on without its caller must be kept. Leave store out.",
      { param: "background" },
    );
  }
  if (options !== undefined && stream !== true) {
    throw new CodedError(
      "invalid_value",
      "stream_options says how a stream looks, and none is asked for. Set stream to true, or leave it out.",
      { param: "stream_options" },
    );
  }
}

function wantsLogprobs({ include }: ResponsesBody): boolean {
  return include?.includes(logprobsInclude) === true;
}

/** @returns warnings for what is sent and not acted on @throws CodedError `unsupported_parameter` with `?strict=1` */
export function noteResponsesUnused(
  c: EdgeContext,
  body: ResponsesBody,
  inInput: Record<string, unknown>,
): string[] {
  const others = body.include?.filter((name) => name !== logprobsInclude) ?? [];
  const alone = body.top_logprobs !== undefined && !wantsLogprobs(body);
  return noteUnused(c, {
    ...fieldsOf(body, unused),
    "text.verbosity": body.text?.verbosity,
    ...Object.fromEntries(others.map((name) => [`include ${name}`, true])),
    ...(alone ? { top_logprobs: body.top_logprobs } : {}),
    ...inInput,
  });
}

/** What a response repeats of its request. @throws CodedError where that is too much to keep */
export function echoOf(body: ResponsesBody): Record<string, unknown> {
  const tools = body.tools ?? [];
  const echo = {
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    metadata: body.metadata ?? {},
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: body.previous_response_id ?? null,
    ...(body.prompt === undefined ? {} : { prompt: promptOf(body.prompt) }),
    reasoning: { effort: null, summary: null },
    store: body.store ?? true,
    temperature: body.temperature ?? 1,
    text: { format: body.text?.format ?? { type: "text" } },
    tool_choice: body.tool_choice ?? "auto",
    tools: tools.map((tool) => ({ description: null, parameters: null, strict: null, ...tool })),
    top_logprobs: body.top_logprobs ?? 0,
    top_p: body.top_p ?? 1,
    truncation: "disabled",
  };
  const max = responseLimits.ofKey.echoBytesMax;
  const bytes = utf8Bytes(JSON.stringify(echo), max);
  if (bytes <= max) return echo;
  throw new CodedError(
    "request_too_large",
    `instructions, tools, text and metadata together are over their limit of ${max} bytes: each answer repeats ` +
      "them. Send what is long as an item of input.",
    { param: "instructions" },
  );
}

function promptOf({ id, version, variables = {} }: z.infer<typeof PromptReference>) {
  return { id, version: version === undefined ? null : String(version), variables };
}

/** The chat body that asks for the same. @param messages of the whole conversation */
export function chatBodyOf(body: ResponsesBody, messages: readonly object[]) {
  const { tools = [], tool_choice: choice, parallel_tool_calls: parallel, text } = body;
  const told = wantsLogprobs(body);
  const calls = {
    tools: tools.map(chatTool),
    ...(choice === undefined ? {} : { tool_choice: chatToolChoice(choice) }),
    ...(parallel === undefined ? {} : { parallel_tool_calls: parallel }),
  };
  const format = text?.format ?? { type: "text" };
  return {
    ...fieldsOf(body, {
      model: 0,
      prompt: 0,
      temperature: 0,
      top_p: 0,
      stream: 0,
      ...webhookFields,
    }),
    messages,
    ...(body.max_output_tokens === undefined
      ? {}
      : { max_completion_tokens: body.max_output_tokens }),
    ...(told ? { logprobs: true, top_logprobs: body.top_logprobs ?? 0 } : {}),
    ...(format.type === "text" ? {} : { response_format: chatFormat(format) }),
    ...calls,
  };
}

function chatTool({ name, description, parameters, strict }: FunctionTool) {
  const given = { description, parameters, strict };
  const said = Object.entries(given).filter(([, value]) => value !== undefined && value !== null);
  return { type: "function", function: { name, ...Object.fromEntries(said) } };
}

function chatToolChoice(choice: z.infer<typeof ToolChoice>) {
  if (typeof choice === "string") return choice;
  if (choice.type === "function") return chatFunction(choice);
  const { mode, tools } = choice;
  return { type: "allowed_tools", allowed_tools: { mode, tools: tools.map(chatFunction) } };
}

function chatFunction({ name }: z.infer<typeof ToolChoiceFunction>) {
  return { type: "function", function: { name } };
}

function chatFormat(format: TextFormat) {
  if (format.type !== "json_schema") return format;
  const { type, ...schema } = format;
  const said = Object.entries(schema).filter(([, value]) => value !== undefined && value !== null);
  return { type, json_schema: Object.fromEntries(said) };
}

/** @returns the form that a chat body asks for, in words of this route; null: none, or one that only chat has */
export function formatOf(chat: unknown): TextFormat | null {
  const asked = AskedFormat.safeParse(chat).data?.response_format;
  if (asked === undefined) return null;
  const { json_schema: named = {}, ...format } = asked;
  return TextFormat.safeParse({ ...format, ...named }).data ?? null;
}

const AskedFormat = z.object({
  response_format: z.looseObject({ json_schema: AnyObject.optional() }),
});

/** Fields of chat by the names of this route, in params and in messages. The first that matches counts. */
const ownNames: readonly (readonly [RegExp, string])[] = [
  [/\bmax_(completion_)?tokens\b/g, "max_output_tokens"],
  [/\bresponse_format\.json_schema\b/g, "text.format"],
  [/\bresponse_format\b/g, "text.format"],
  [/\b(tools\[\d+\]|tool_choice|tools)\.function\b/g, "$1"],
  [/\btool_choice\.allowed_tools\b/g, "tool_choice"],
];

/** @param names of the messages, as the caller knows them @returns what the chat route threw, in words of this one */
export function inOwnWords(thrown: unknown, names: readonly string[]): unknown {
  if (!(thrown instanceof CodedError) || thrown.param === null) return thrown;
  const { code, message, param, cause } = thrown;
  const own = (text: string) =>
    ownNames
      .reduce((told, [pattern, name]) => told.replaceAll(pattern, name), text)
      .replaceAll(/\bmessages\[(\d+)\](\.[\w.[\]]*\w\]?)?/g, (_, index: string, rest?: string) =>
        nameOf(names[Number(index)] ?? "input", rest ?? ""),
      )
      .replaceAll(/\bmessages\b/g, "input");
  return new CodedError(code, own(message), { param: own(param), cause });
}

/** Of an item's field; what is no item has none. */
function nameOf(item: string, rest: string): string {
  return item.startsWith("input[") ? item + rest : item;
}
