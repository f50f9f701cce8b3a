/** What was said before a response: the items of the responses that it follows, the earliest first. */
import { openResultDocument } from "#contract/result-document.ts";
import { Generation } from "#contract/tasks/generation.ts";
import { type OutputItem, outputItems, type ResponseItem } from "../answers/response-items.ts";
import type { ResponseRow, ResponseRows } from "./response-rows.ts";

export type ConversationBounds = { itemsMax: number; charactersMax: number };

/** `unknown`: deleted, past its time, or never there. `open` and `failed`: it has no answer to go on from. */
export type Conversation =
  | { items: ResponseItem[] }
  | { problem: "unknown" | "open" | "failed"; id: string }
  | { problem: "long"; count: number; characters: number };

/** @param last the response that another follows */
export function conversationUpTo(
  rows: ResponseRows,
  last: string,
  bounds: ConversationBounds,
): Conversation {
  const turns: ResponseItem[][] = [];
  let [count, characters] = [0, 0];
  for (let id: string | null = last; id !== null;) {
    const row = rows.find(id);
    if (row === null) return { problem: "unknown", id };
    if (row.status !== "succeeded") {
      return { problem: row.status === "open" ? "open" : "failed", id };
    }
    const input = rows.read(row, "input");
    const turn = [...itemsOf(input), ...writtenItems(rows, row)];
    count += turn.length;
    characters += input.length + writtenCharacters(turn);
    if (count > bounds.itemsMax || characters > bounds.charactersMax) {
      return { problem: "long", count, characters };
    }
    turns.push(turn);
    id = row.previous;
  }
  return { items: turns.toReversed().flat() };
}

/** What a response was given, with what came before as far as that is still there; the earliest first. */
export function itemsGiven(rows: ResponseRows, response: ResponseRow, itemsMax: number) {
  const turns = [itemsOf(rows.read(response, "input"))];
  let count = 0;
  for (let id = response.previous; id !== null;) {
    const row = rows.find(id);
    if (row === null) break;
    const turn = [...itemsOf(rows.read(row, "input")), ...writtenItems(rows, row)];
    count += turn.length;
    if (count > itemsMax) break;
    turns.push(turn);
    id = row.previous;
  }
  return turns.toReversed().flat();
}

/** Without log probabilities. */
export function writtenItems(rows: ResponseRows, row: ResponseRow): OutputItem[] {
  if (row.status !== "succeeded") return [];
  const { lines } = openResultDocument(rows.read(row, "result"));
  const [choice] = Generation.parse(JSON.parse(lines)).choices;
  return choice === undefined ? [] : outputItems(row.id, { ...choice, logprobs: null });
}

export function itemsOf(input: string): ResponseItem[] {
  return JSON.parse(input);
}

function writtenCharacters(items: readonly ResponseItem[]): number {
  return items.reduce((sum, item) => {
    if (item.type === "function_call") return sum + item.arguments.length;
    if (item.type === "function_call_output" || item.role !== "assistant") return sum;
    return sum + item.content.reduce((total, { text }) => total + text.length, 0);
  }, 0);
}
