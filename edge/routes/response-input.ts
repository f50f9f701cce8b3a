/**
 * The input of a response: its items as OpenAI words them, as they are kept, and as the messages of a conversation that
 * the chat route takes.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { limits } from "#contract/limits.ts";
import {
  type FunctionCall,
  type InputText,
  itemId,
  outputText,
  type ResponseItem,
} from "../answers/response-items.ts";
import { validate } from "../http/validation.ts";
import { AnyObject } from "../tasks/chat-messages.ts";
import { checkCount } from "../tasks/task-inputs.ts";
import { unsupported } from "../tasks/unsupported.ts";

const text = z.string().max(limits.stringCharactersMax);
const notActedOn = "Accepted, and not acted on.";
const statuses = ["in_progress", "completed", "incomplete"] as const;
const own = {
  id: z.string().optional().describe("Of a response that said it. It is given another."),
  status: z.enum(statuses).optional().describe(notActedOn),
} as const;

export const ResponseTextPart = z.strictObject({
  type: z.enum(["input_text", "output_text"]).describe("Only texts are read."),
  text: text.describe("A part of what is said."),
  annotations: z.array(z.unknown()).optional().describe(notActedOn),
  logprobs: z.array(z.unknown()).nullish().describe(notActedOn),
  prompt_cache_breakpoint: AnyObject.nullish().describe(notActedOn),
});
const Parts = z.array(ResponseTextPart).min(1).max(limits.inputsMax);

const MessageItem = z.strictObject({
  type: z.literal("message").optional().describe("What this is. Default: message."),
  role: z.enum(["user", "assistant", "system", "developer"]).describe("Who speaks."),
  content: z.union([text, Parts]).describe("What is said: a text, or texts in parts."),
  phase: z.string().optional().describe(notActedOn),
  ...own,
});

const callId = z.string().min(1).max(64);

const CallItem = z.strictObject({
  type: z.literal("function_call").describe("A function that the model called."),
  call_id: callId.describe("Of the call: its output names it."),
  name: z.string().min(1).max(128).describe("Of the function."),
  arguments: text.describe("JSON text."),
  ...own,
});

const CallOutputItem = z.strictObject({
  type: z.literal("function_call_output").describe("What a function answered."),
  call_id: callId.describe("Of the call that it answers."),
  output: z.union([text, Parts]).describe("The answer: a text, or texts in parts."),
  ...own,
});

const ReferenceItem = z.strictObject({
  type: z.literal("item_reference").optional().describe("An item of a response that is kept."),
  id: z.string().min(1).max(200).describe("Of the item."),
});

/** Models here write none; clients send back those of others. */
const ReasoningItem = z.looseObject({ type: z.literal("reasoning").describe(notActedOn) });

const forms = {
  message: MessageItem,
  function_call: CallItem,
  function_call_output: CallOutputItem,
  item_reference: ReferenceItem,
  reasoning: ReasoningItem,
} as const;
type ItemType = keyof typeof forms;

/** As published; `readInput` reads the items one by one, and says better what is wrong. */
export const ResponseInput = z
  .union([
    text,
    z
      .array(z.union([MessageItem, CallItem, CallOutputItem, ReferenceItem, ReasoningItem]))
      .min(1)
      .max(limits.inputsMax),
  ])
  .describe("What is said: a text of the user, or items.");

/** An item, or the id of one that is kept. */
export type GivenItem = { item: ResponseItem; name: string } | { reference: string; name: string };

export type GivenInput = { given: GivenItem[]; unused: Record<string, unknown> };

/** @param response the id of the response that is given them @throws CodedError */
export function readInput(value: unknown, response: string): GivenInput {
  const unused: Record<string, unknown> = {};
  if (typeof value === "string") {
    const content: InputText[] = [{ type: "input_text", text: validate(text, value, ["input"]) }];
    const id = itemId("message", { response, side: "in", index: 0 });
    const item = { id, type: "message", role: "user", status: "completed", content } as const;
    return { given: [{ item, name: "input" }], unused };
  }
  checkCount(value, "input");
  const list = validate(z.array(z.unknown()).min(1), value, ["input"]);
  const given = list.flatMap((each, index): GivenItem[] => {
    const name = `input[${index}]`;
    const read = readItem(each, ["input", index]);
    if (read.type === "reasoning") {
      unused[name] = each;
      return [];
    }
    if (!("role" in read) && !("call_id" in read)) return [{ reference: read.id, name }];
    if ("phase" in read && read.phase !== undefined) unused[`${name}.phase`] = read.phase;
    return [{ item: keptItem(read, { response, side: "in", index }), name }];
  });
  if (given.length > 0) return { given, unused };
  throw new CodedError(
    "invalid_value",
    "input holds nothing that is read. Send a message, or what a function answered.",
    { param: "input" },
  );
}

type ReadItem = z.infer<(typeof forms)[ItemType]>;
type ReadMessage = z.infer<typeof MessageItem>;
type SaidItem = ReadMessage | z.infer<typeof CallItem> | z.infer<typeof CallOutputItem>;

function readItem(item: unknown, at: PropertyKey[]): ReadItem {
  const { type, role, content, output } = fieldsIn(item);
  const named = type ?? (role === undefined ? "item_reference" : "message");
  if (typeof named !== "string" || !isItemType(named)) {
    throw unsupported(
      [...at, "type"],
      "Send messages, function_call, function_call_output or item_reference.",
    );
  }
  refuseOtherParts(content, [...at, "content"]);
  refuseOtherParts(output, [...at, "output"]);
  return validate<ReadItem>(forms[named], item, at);
}

function fieldsIn(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function isItemType(type: string): type is ItemType {
  return Object.hasOwn(forms, type);
}

const otherParts: readonly unknown[] = ["input_image", "input_file", "input_audio", "refusal"];

function refuseOtherParts(parts: unknown, at: PropertyKey[]): void {
  if (!Array.isArray(parts)) return;
  const index = parts.findIndex((part: unknown) => otherParts.includes(fieldsIn(part)["type"]));
  if (index !== -1) throw unsupported([...at, index], "Only texts are read.");
}

function keptItem(read: SaidItem, place: Parameters<typeof itemId>[1]): ResponseItem {
  const status = "completed";
  if ("output" in read) {
    const { type, call_id, output } = read;
    const shown = typeof output === "string" ? output : output.map((part) => inputText(part.text));
    return { id: itemId(type, place), type, status, call_id, output: shown };
  }
  if ("arguments" in read) {
    const { type, call_id, name, arguments: given } = read;
    return { id: itemId(type, place), type, status, call_id, name, arguments: given };
  }
  const { role, content } = read;
  const texts = typeof content === "string" ? [content] : content.map((part) => part.text);
  const said = { id: itemId("message", place), type: "message", status } as const;
  return role === "assistant"
    ? { ...said, role, content: texts.map((each) => outputText(each, [])) }
    : { ...said, role, content: texts.map(inputText) };
}

function inputText(said: string): InputText {
  return { type: "input_text", text: said };
}

/** As OpenAI's chat words it. */
export type ChatMessageBody = {
  role: string;
  content: string | { type: "text"; text: string }[] | null;
  tool_calls?: { id: string; type: "function"; function: { name: string; arguments: string } }[];
  tool_call_id?: string;
};

/** Messages, and by which name the caller knows each. */
export type NamedMessages = { messages: ChatMessageBody[]; names: string[] };

/** What a model wrote at once, text and calls, is one message. */
export function messagesOf(items: readonly { item: ResponseItem; name: string }[]): NamedMessages {
  const messages: ChatMessageBody[] = [];
  const names: string[] = [];
  const add = (message: ChatMessageBody, name: string) => {
    messages.push(message);
    names.push(name);
  };
  for (const { item, name } of items) {
    const last = messages.at(-1);
    if (item.type === "function_call" && last?.role === "assistant") {
      last.tool_calls = [...(last.tool_calls ?? []), callOf(item)];
    } else if (item.type === "function_call") {
      add({ role: "assistant", content: null, tool_calls: [callOf(item)] }, name);
    } else if (item.type === "function_call_output") {
      const { call_id: tool_call_id, output } = item;
      add({ role: "tool", tool_call_id, content: contentOf(output) }, name);
    } else add({ role: item.role, content: contentOf(item.content) }, name);
  }
  return { messages, names };
}

function callOf({ call_id: id, name, arguments: given }: FunctionCall) {
  return { id, type: "function" as const, function: { name, arguments: given } };
}

/** One part is a text: a template, and the cache, make no difference between the two. */
function contentOf(parts: string | readonly { text: string }[]): ChatMessageBody["content"] {
  if (typeof parts === "string") return parts;
  const [first, ...others] = parts;
  if (first !== undefined && others.length === 0) return first.text;
  return parts.map((part) => ({ type: "text", text: part.text }));
}
