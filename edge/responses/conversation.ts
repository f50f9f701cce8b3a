/** What was said before a response: the items of the responses that it follows, the earliest first. */
import { limits } from "#contract/limits.ts";
import { openResultDocument } from "#contract/result-document.ts";
import { Generation } from "#contract/tasks/generation.ts";
import { type OutputItem, outputItems, type ResponseItem } from "../answers/response-items.ts";
import type { ResponseRow, ResponseRows } from "./response-rows.ts";

/** Of what is read of the store for one request: past it no model of ours has positions left. */
export const conversationLimits = {
  itemsMax: limits.inputsMax,
  charactersMax: limits.stringCharactersMax,
} as const;

/**
 * `unknown`: deleted, past its time, or never there. `open` and `failed`: it has no answer to go on from. `large`: more
 * than was to be read without a permit.
 */
export type Conversation =
  | { items: ResponseItem[] }
  | { problem: "unknown" | "open" | "failed"; id: string }
  | { problem: "long"; count: number; characters: number }
  | { problem: "large"; characters: number };

/**
 * @param last the response that another follows
 * @param charactersMax of what is read without a permit
 */
export function conversationUpTo(
  rows: ResponseRows,
  last: string,
  charactersMax: number,
): Conversation {
  const turns: ResponseItem[][] = [];
  let [count, characters] = [0, 0];
  for (let id: string | null = last; id !== null;) {
    const row = rows.find(id);
    if (row === null) return { problem: "unknown", id };
    if (row.status !== "succeeded") {
      return { problem: row.status === "open" ? "open" : "failed", id };
    }
    const turn = turnOf(rows, row);
    count += turn.length;
    characters += charactersOf(turn);
    const { itemsMax, charactersMax: most } = conversationLimits;
    if (count > itemsMax || characters > most) return { problem: "long", count, characters };
    turns.push(turn);
    id = row.previous;
  }
  if (characters > charactersMax) return { problem: "large", characters };
  return { items: turns.toReversed().flat() };
}

/** What a response was given, with what came before as far as that is still there; the earliest first. */
export function itemsGiven(rows: ResponseRows, response: ResponseRow): ResponseItem[] {
  const turns = [itemsOf(rows.read(response, "input"))];
  for (let id = response.previous; id !== null;) {
    const row = rows.find(id);
    if (row === null) break;
    turns.push(turnOf(rows, row));
    id = row.previous;
  }
  return turns.toReversed().flat();
}

function turnOf(rows: ResponseRows, row: ResponseRow): ResponseItem[] {
  return [...itemsOf(rows.read(row, "input")), ...writtenItems(rows, row)];
}

/** Without log probabilities. */
export function writtenItems(rows: ResponseRows, row: ResponseRow): OutputItem[] {
  if (row.status !== "succeeded") return [];
  const kept = rows.read(row, "output");
  return kept === "" ? itemsIn(row.id, rows.read(row, "result")) : JSON.parse(kept);
}

/** @param document of the result that made the response */
export function itemsIn(response: string, document: string): OutputItem[] {
  const { lines } = openResultDocument(document);
  const [choice] = Generation.parse(JSON.parse(lines)).choices;
  return choice === undefined ? [] : outputItems(response, { ...choice, logprobs: null });
}

export function itemsOf(input: string): ResponseItem[] {
  return JSON.parse(input);
}

/** As JSON, about: so that many small items count too. */
export function charactersOf(items: readonly ResponseItem[]): number {
  return JSON.stringify(items).length;
}

export type ItemPage = { limit: number; order: "asc" | "desc"; after: string | null };

/** Characters of one page of items; it has one item at least. */
const pageCharactersMax = 4_000_000;

/** @returns null where `after` is none of them */
export function pageOf(
  items: readonly ResponseItem[],
  { limit, order, after }: ItemPage,
): { data: ResponseItem[]; hasMore: boolean } | null {
  const sorted = order === "asc" ? items : items.toReversed();
  const at = after === null ? 0 : sorted.findIndex(({ id }) => id === after) + 1;
  if (after !== null && at === 0) return null;
  let end = at;
  for (let characters = 0; end < Math.min(at + limit, sorted.length); end += 1) {
    characters += charactersOf(sorted.slice(end, end + 1));
    if (characters > pageCharactersMax && end > at) break;
  }
  return { data: sorted.slice(at, end), hasMore: end < sorted.length };
}
