/**
 * A conversation with tools as its template takes it. One that takes tools is given them, and the calls of a message,
 * as transformers gives them. To any other they are texts: tools are described before the conversation, what was called
 * stands in the assistant's messages, and what came of it in the user's, in the form of Hermes and Qwen.
 */
import type { ChatMessage } from "#contract/tasks/chat-completion.ts";
import { isDeeper, type Tool, toolLimits } from "#contract/tasks/tool.ts";
import type { ChatTool, ChatMessage as TemplateMessage } from "../tokenizer/chat-template.ts";
import { type CallForm, callFormOf, hermesForm, writeCalls } from "./call-form.ts";
import { noArguments } from "./call-structure.ts";
import { shortId } from "./call-id.ts";

type Content = TemplateMessage["content"];

export type ToolConversation = {
  readonly messages: readonly TemplateMessage[];
  readonly tools: readonly ChatTool[];
};

export type ToolTemplate = {
  readonly form: CallForm;
  /** @param tools those that the model is told of, if any */
  converse(messages: readonly ChatMessage[], tools: readonly Tool[]): ToolConversation;
};

/** @param template Jinja */
export function toolTemplateOf(template: string): ToolTemplate {
  const form = callFormOf(template);
  if (form !== null) {
    return {
      form,
      converse: (messages, tools) => ({
        messages: messages.map((message) => given(message, form)),
        tools: tools.map(givenTool),
      }),
    };
  }
  const places = takesSystem(template) ? "system" : "user";
  return {
    form: hermesForm,
    converse: (messages, tools) => ({
      messages: described(worded(messages), tools, places),
      tools: [],
    }),
  };
}

/** Some templates refuse a system message, in these words or because they know of none. */
function takesSystem(template: string): boolean {
  return /\bsystem\b/.test(template) && !/system role not supported/i.test(template);
}

function given(message: ChatMessage, { idLength }: CallForm): TemplateMessage {
  const { role, content, name, tool_calls: calls, tool_call_id: answered } = message;
  const idOf = (id: string) => (idLength === null ? id : shortId(id, idLength));
  return {
    role,
    content,
    ...(name !== undefined && { name }),
    ...(calls !== undefined && {
      tool_calls: calls.map((call) => ({
        id: idOf(call.id),
        type: "function",
        function: { name: call.name, arguments: objectOf(call.arguments) },
      })),
    }),
    ...(answered !== undefined && { tool_call_id: idOf(answered) }),
  };
}

/** Templates take arguments for an object. What is none is shown as it is. */
function objectOf(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && !isDeeper(value, toolLimits.schemaDepthMax) ? value : text;
  } catch {
    return text;
  }
}

function givenTool({ name, description, parameters = noArguments }: Tool): ChatTool {
  return {
    type: "function",
    function: {
      name,
      ...(description !== undefined && { description }),
      parameters: JSON.parse(parameters),
    },
  };
}

/** Calls and what came of them as texts of the assistant and of the user; answers to several calls are one message. */
function worded(messages: readonly ChatMessage[]): TemplateMessage[] {
  const texts: TemplateMessage[] = [];
  let wasAnswer = false;
  for (const message of messages) {
    const isAnswer = message.role === "tool";
    const text = isAnswer ? answerText(message) : callingText(message);
    const last = texts.at(-1);
    if (isAnswer && wasAnswer && last !== undefined)
      last.content = `${textOf(last.content)}\n${text}`;
    else texts.push({ role: isAnswer ? "user" : message.role, content: text });
    wasAnswer = isAnswer;
  }
  return texts;
}

function answerText({ content }: ChatMessage): string {
  return `<tool_response>\n${textOf(content)}\n</tool_response>`;
}

function callingText({ content, tool_calls: calls }: ChatMessage): Content {
  if (calls === undefined) return content;
  const said = textOf(content);
  return `${said}${said === "" ? "" : "\n"}${writeCalls(hermesForm, calls)}`;
}

function textOf(content: Content): string {
  return typeof content === "string" ? content : content.map(({ text }) => text).join("\n");
}

function described(
  messages: TemplateMessage[],
  tools: readonly Tool[],
  place: "system" | "user",
): TemplateMessage[] {
  if (tools.length === 0) return messages;
  const words = describe(tools);
  const at = messages.findIndex(({ role }) => role === place);
  const found = messages[at];
  if (found === undefined || (place === "system" && at > 0)) {
    return [{ role: place, content: words }, ...messages];
  }
  const content = textOf(found.content);
  const both = place === "system" ? `${content}\n\n${words}` : `${words}\n\n${content}`;
  return messages.with(at, { ...found, content: both });
}

function describe(tools: readonly Tool[]): string {
  const list = tools.map((tool) => JSON.stringify(givenTool(tool).function)).join("\n");
  const call = `{"name": <the function's name>, "arguments": <its arguments, a JSON object>}`;
  return (
    "You can call functions to answer the user. These are the functions, each with a JSON Schema of its arguments:\n" +
    `<tools>\n${list}\n</tools>\n\n` +
    "To call one, write its name and its arguments as JSON, and nothing after it:\n" +
    `<tool_call>\n${call}\n</tool_call>`
  );
}
