/**
 * The items that a response of OpenAI's is made of: what a model wrote, its calls of functions, and what it was given.
 * Their ids are made of the response's own, so that an item is found by its id alone.
 */
import type { Choice, TokenLogprob } from "#contract/tasks/generation.ts";
import { chatLogprobs } from "./generations.ts";

export type ItemStatus = "in_progress" | "completed" | "incomplete";

export type ItemLogprob = ReturnType<typeof chatLogprobs>["content"][number];

export type OutputText = {
  type: "output_text";
  text: string;
  annotations: never[];
  logprobs: ItemLogprob[];
};

export type InputText = { type: "input_text"; text: string };

export type WrittenMessage = {
  id: string;
  type: "message";
  role: "assistant";
  status: ItemStatus;
  content: OutputText[];
};

export type FunctionCall = {
  id: string;
  type: "function_call";
  status: ItemStatus;
  call_id: string;
  name: string;
  /** JSON text. */
  arguments: string;
};

export type GivenMessage = {
  id: string;
  type: "message";
  role: "user" | "system" | "developer";
  status: "completed";
  content: InputText[];
};

export type FunctionCallOutput = {
  id: string;
  type: "function_call_output";
  status: "completed";
  call_id: string;
  output: string | InputText[];
};

export type OutputItem = WrittenMessage | FunctionCall;
export type ResponseItem = OutputItem | GivenMessage | FunctionCallOutput;

const prefixes = {
  message: "msg",
  function_call: "fc",
  function_call_output: "fco",
} as const satisfies Record<ResponseItem["type"], string>;

export const responseId = /^resp_[0-9a-f]{32}$/;
const itemIdForm = /^(?:msg|fc|fco)_([0-9a-f]{32})_(in|out)(\d{1,4})$/;

/** Where an item stands: among what a response was given, or what was written. */
export type ItemPlace = { response: string; side: "in" | "out"; index: number };

export function itemId(type: ResponseItem["type"], { response, side, index }: ItemPlace): string {
  return `${prefixes[type]}_${response.replace("resp_", "")}_${side}${index}`;
}

/** @returns null where it is no id of ours */
export function placeOfItem(id: string): ItemPlace | null {
  const [, hex, side, index] = itemIdForm.exec(id) ?? [];
  if (hex === undefined) return null;
  return { response: `resp_${hex}`, side: side === "in" ? "in" : "out", index: Number(index) };
}

/** Special tokens are no text, and are not told of. */
export function itemLogprobs(logprobs: readonly TokenLogprob[]): ItemLogprob[] {
  return chatLogprobs(logprobs).content;
}

export function outputText(text: string, logprobs: ItemLogprob[]): OutputText {
  return { type: "output_text", text, annotations: [], logprobs };
}

/** What was written, then what was called; blanks around calls are no message. */
export function outputItems(response: string, choice: Choice): OutputItem[] {
  const { text, logprobs, tool_calls: calls = [], finish_reason: reason } = choice;
  const status = "completed";
  const items: OutputItem[] = [];
  const id = (type: OutputItem["type"]) =>
    itemId(type, { response, side: "out", index: items.length });
  if (calls.length === 0 || text.trim() !== "") {
    const content = [outputText(text, itemLogprobs(logprobs ?? []))];
    items.push({ id: id("message"), type: "message", role: "assistant", status, content });
  }
  for (const { id: call_id, name, arguments: given } of calls) {
    const type = "function_call";
    items.push({ id: id(type), type, status, call_id, name, arguments: given });
  }
  const last = items.at(-1);
  // What came before was whole.
  if (last !== undefined && reason === "length") last.status = "incomplete";
  return items;
}
