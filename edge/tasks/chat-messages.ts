/** The messages of a conversation as OpenAI words them, and as a worker is told. */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { limits } from "#contract/limits.ts";
import { type ChatMessage, chatRoles } from "#contract/tasks/chat-completion.ts";
import { toolLimits, ToolName } from "#contract/tasks/tool.ts";
import { validate } from "../http/validation.ts";
import { readList } from "./task-inputs.ts";
import { refuseUnsupported, unsupported } from "./unsupported.ts";

const text = z.string().max(limits.stringCharactersMax);
const notActedOn = "Accepted, and not acted on.";

/** Of a field whose object says nothing here. */
export const AnyObject = z.record(z.string(), z.unknown()).describe(notActedOn);

export const TextPart = z.strictObject({
  type: z.literal("text").describe("Only texts are read."),
  text: text.describe("A part of what is said."),
  prompt_cache_breakpoint: AnyObject.optional(),
});

/** Of a message that the caller was once answered with, which has them without their saying anything. */
const unsupportedFields = {
  audio: z.null().optional().describe("No model here speaks."),
} as const;

const called = {
  name: ToolName.describe("Of the function."),
  arguments: text.describe("Its arguments: JSON, as text."),
} as const;
const callId = z.string().max(toolLimits.callIdCharactersMax);

export const MessageToolCall = z.strictObject({
  id: callId.describe("Of the call, as the answer to it names it."),
  type: z.literal("function").describe("Only functions are called."),
  function: z.strictObject(called).describe("What was called."),
  index: z.int().nonnegative().optional().describe("As a stream told it. Their order counts."),
});

export const MessageBody = z.strictObject({
  role: z.enum([...chatRoles, "function"]).describe("Who speaks."),
  content: z
    .union([text, z.array(TextPart).min(1).max(limits.inputsMax)])
    .nullish()
    .describe(
      "What is said: a text, or texts in parts. null counts as an empty text. Absent only beside calls.",
    ),
  name: z.string().max(64).optional().describe("Of who speaks, where the model's template asks."),
  tool_calls: z
    .array(MessageToolCall)
    .max(toolLimits.callsPerMessageMax)
    .optional()
    .describe("What the assistant asked to have called."),
  tool_call_id: callId.optional().describe("Of the call that a tool's message answers."),
  function_call: z
    .strictObject(called)
    .optional()
    .describe("The one function that the assistant asked to have called, in OpenAI's older words."),
  refusal: z.string().optional().describe(notActedOn),
  annotations: z.array(z.unknown()).optional().describe(notActedOn),
  ...unsupportedFields,
});

/** As published; `readMessages` reads them one by one, and says better what is wrong. */
export const Messages = z
  .array(MessageBody)
  .min(1)
  .max(limits.inputsMax)
  .describe("What was said so far.");

/** Of OpenAI's other parts. */
const otherParts: readonly unknown[] = ["image_url", "input_audio", "file", "refusal"];

type Message = z.infer<typeof MessageBody>;

/** @returns the messages, and by their names the fields of them that are not acted on @throws CodedError */
export function readMessages(value: unknown): {
  messages: ChatMessage[];
  unused: Record<string, unknown>;
} {
  const read = readList(z.unknown(), value, "messages").map(readMessage);
  const unused = Object.assign({}, ...read.map(unusedOf));
  let lastCall: string | undefined;
  const messages = read.map((message, index) => {
    const calls = callsOf(message, index);
    if (message.function_call !== undefined) lastCall = calls.at(-1)?.id;
    const { role, content = null, name, tool_call_id: id } = message;
    const answered = role === "function" ? lastCall : id;
    return {
      role: role === "function" ? ("tool" as const) : role,
      content: contentOf(content),
      ...(name !== undefined && { name }),
      ...(calls.length > 0 && { tool_calls: calls }),
      ...(answered !== undefined && { tool_call_id: answered }),
    };
  });
  return { messages, unused };
}

/** By their names. */
function unusedOf(message: Message, index: number): Record<string, unknown> {
  const { content, refusal, annotations = [] } = message;
  const at = `messages[${index}]`;
  const parts = typeof content === "object" && content !== null ? content : [];
  return Object.fromEntries([
    ...(refusal === undefined ? [] : [[`${at}.refusal`, refusal]]),
    ...(annotations.length === 0 ? [] : [[`${at}.annotations`, annotations]]),
    ...parts.flatMap(({ prompt_cache_breakpoint: cut }, part) =>
      cut === undefined ? [] : [[`${at}.content[${part}].prompt_cache_breakpoint`, cut]],
    ),
  ]);
}

function callsOf(
  { tool_calls: calls = [], function_call: older }: Message,
  index: number,
): NonNullable<ChatMessage["tool_calls"]> {
  // Calls had no ids then: an answer follows its call.
  if (older !== undefined) return [{ id: `function_${index}`, ...older }];
  return calls.map(({ id, function: own }) => ({ id, ...own }));
}

function readMessage(message: unknown, index: number): Message {
  const at = ["messages", index];
  if (typeof message === "object" && message !== null) {
    refuseUnsupported(unsupportedFields, message, at);
    if ("content" in message) refuseOtherParts(message.content, [...at, "content"]);
  }
  const read = validate(MessageBody, message, at);
  const { content, tool_calls: calls = [], function_call: older } = read;
  if (content !== undefined || calls.length > 0 || older !== undefined) return read;
  if (typeof message === "object" && message !== null && "content" in message) return read;
  throw new CodedError(
    "missing_required_parameter",
    `Missing required parameter: messages[${index}].content. Send a string, or null for none.`,
    { param: `messages[${index}].content` },
  );
}

function refuseOtherParts(content: unknown, at: PropertyKey[]): void {
  if (!Array.isArray(content)) return;
  const index = content.findIndex(
    (part: unknown) =>
      typeof part === "object" && part !== null && "type" in part && otherParts.includes(part.type),
  );
  if (index !== -1) throw unsupported([...at, index], "Only parts of the type text are read.");
}

function contentOf(content: NonNullable<Message["content"]> | null): ChatMessage["content"] {
  if (content === null) return "";
  return typeof content === "string" ? content : content.map(({ text: part }) => ({ text: part }));
}
