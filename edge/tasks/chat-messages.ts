/** The messages of a conversation as OpenAI words them, and as a worker is told. */
import * as z from "zod";
import { limits } from "#contract/limits.ts";
import { type ChatMessage, chatRoles } from "#contract/tasks/chat-completion.ts";
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
  tool_calls: z.array(z.unknown()).max(0).optional().describe("No model here calls tools."),
  function_call: z.null().optional().describe("No model here calls functions."),
  audio: z.null().optional().describe("No model here speaks."),
} as const;

export const MessageBody = z.strictObject({
  role: z.enum(chatRoles).describe("Who speaks."),
  content: z
    .union([text, z.array(TextPart).min(1).max(limits.inputsMax)])
    .nullable()
    .describe("What is said: a text, or texts in parts. null counts as an empty text."),
  name: z.string().max(64).optional().describe("Of who speaks, where the model's template asks."),
  tool_call_id: z.string().optional().describe(notActedOn),
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

/** @returns the messages, and by their names the fields of them that are not acted on @throws CodedError */
export function readMessages(value: unknown): {
  messages: ChatMessage[];
  unused: Record<string, unknown>;
} {
  const unused: Record<string, unknown> = {};
  const messages = readList(z.unknown(), value, "messages").map((message, index) => {
    const { role, content, name, ...others } = readMessage(message, index);
    const parts = typeof content === "object" && content !== null ? content : [];
    for (const field of ["tool_call_id", "refusal"] as const) {
      if (others[field] !== undefined) unused[`messages[${index}].${field}`] = others[field];
    }
    if (others.annotations !== undefined && others.annotations.length > 0) {
      unused[`messages[${index}].annotations`] = others.annotations;
    }
    for (const [at, { prompt_cache_breakpoint: cut }] of parts.entries()) {
      if (cut !== undefined) {
        unused[`messages[${index}].content[${at}].prompt_cache_breakpoint`] = cut;
      }
    }
    return { role, content: contentOf(content), ...(name === undefined ? {} : { name }) };
  });
  return { messages, unused };
}

function readMessage(message: unknown, index: number): z.infer<typeof MessageBody> {
  const at = ["messages", index];
  if (typeof message === "object" && message !== null) {
    if ("role" in message && message.role === "function") {
      throw unsupported([...at, "role"], 'Send what a function answered as "tool".');
    }
    refuseUnsupported(unsupportedFields, message, at);
    if ("content" in message) refuseOtherParts(message.content, [...at, "content"]);
  }
  return validate(MessageBody, message, at);
}

function refuseOtherParts(content: unknown, at: PropertyKey[]): void {
  if (!Array.isArray(content)) return;
  const index = content.findIndex(
    (part: unknown) =>
      typeof part === "object" && part !== null && "type" in part && otherParts.includes(part.type),
  );
  if (index !== -1) throw unsupported([...at, index], "Only parts of the type text are read.");
}

function contentOf(content: z.infer<typeof MessageBody>["content"]): ChatMessage["content"] {
  if (content === null) return "";
  return typeof content === "string" ? content : content.map(({ text: part }) => ({ text: part }));
}
