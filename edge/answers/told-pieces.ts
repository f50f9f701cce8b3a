/**
 * How what a computation wrote was cut when it was told, so that the same events can be told again once they are gone:
 * of each piece its lengths alone, since the result repeats the rest. What ended without a result has its texts beside
 * them.
 */
import type { Piece } from "#contract/events.ts";
import type { Choice, Generation } from "#contract/tasks/generation.ts";
import { addCalls } from "./told-calls.ts";

/** How the events of a computation were told. */
export type Told = {
  /** A worker's beginning was told of. */
  started: boolean;
  /** Of each piece, in order (`cutOf`). */
  cuts: string;
  /** What was written until the end, where that is no result. */
  outputs: readonly Generation[] | null;
};

/** Of a result that was there already. */
export const toldAtOnce: Told = { started: false, cuts: "", outputs: null };

/** Of the cuts, and of what was written beside them as JSON. */
export const toldCharactersMax = 256 * 1024;

/**
 * Letters with numbers, of what a piece has: `i`nput, choice `n`, `t`okens unless 1, te`x`t, `l`og probabilities, a
 * `c`all and its `a`rguments, `e`nd.
 */
export function cutOf(piece: Piece): string {
  const { input, choice, tokens, text, logprobs = [], toolCalls = [], finishReason } = piece;
  const place = lengthOf("i", input) + lengthOf("n", choice);
  const calls = toolCalls.map(({ index, arguments: given }) => `c${index}a${given.length}`);
  const grown = `${tokens === 1 ? "" : `t${tokens}`}x${text.length}${lengthOf("l", logprobs.length)}`;
  return `${place}${grown}${calls.join("")}${finishReason === undefined ? "" : "e1"}`;
}

function lengthOf(letter: string, length: number): string {
  return length === 0 ? "" : `${letter}${length}`;
}

type Cut = { lengths: Map<string, number>; calls: { index: number; length: number }[] };

function readCut(text: string): Cut {
  const cut: Cut = { lengths: new Map(), calls: [] };
  for (const [, letter = "", digits = ""] of text.matchAll(/([a-z])(\d+)/g)) {
    const number = Number(digits);
    const call = cut.calls.at(-1);
    if (letter === "c") cut.calls.push({ index: number, length: 0 });
    else if (letter === "a" && call !== undefined) call.length = number;
    else cut.lengths.set(letter, number);
  }
  return cut;
}

/** How far a choice was told. */
type Reached = { from: number; textFrom: number; logprobs: number; calls: Map<number, number> };

/** The pieces that were told. @param outputs what was written */
export function* piecesOf(cuts: string, outputs: readonly Generation[]): Generator<Piece> {
  const reached = new Map<Choice, Reached>();
  for (const text of cuts === "" ? [] : cuts.split(" ")) {
    const cut = readCut(text);
    const [input, choice] = [cut.lengths.get("i") ?? 0, cut.lengths.get("n") ?? 0];
    const written = outputs[input]?.choices[choice];
    if (written === undefined) return;
    const at = reached.get(written) ?? { from: 0, textFrom: 0, logprobs: 0, calls: new Map() };
    reached.set(written, at);
    yield { input, choice, ...grow(cut, written, at) };
  }
}

function grow({ lengths, calls }: Cut, written: Choice, at: Reached) {
  const [tokens, length, shown] = [
    lengths.get("t") ?? 1,
    lengths.get("x") ?? 0,
    lengths.get("l") ?? 0,
  ];
  const piece: Omit<Piece, "input" | "choice"> = {
    from: at.from,
    tokens,
    textFrom: at.textFrom,
    text: written.text.slice(at.textFrom, at.textFrom + length),
  };
  if (shown > 0) piece.logprobs = written.logprobs?.slice(at.logprobs, at.logprobs + shown) ?? [];
  if (calls.length > 0) piece.toolCalls = calls.map((call) => growCall(call, written, at));
  if (lengths.has("e")) piece.finishReason = written.finish_reason;
  at.from += tokens;
  at.textFrom += length;
  at.logprobs += shown;
  return piece;
}

function growCall({ index, length }: Cut["calls"][number], written: Choice, at: Reached) {
  const known = at.calls.get(index);
  const { id = "", name = "", arguments: given = "" } = written.tool_calls?.[index] ?? {};
  const from = known ?? 0;
  at.calls.set(index, from + length);
  const begins = known === undefined ? { id, name } : {};
  return { index, ...begins, argumentsFrom: from, arguments: given.slice(from, from + length) };
}

/** What the pieces wrote, all of them from the first on. */
export function writtenBy(pieces: Iterable<Piece>): Generation[] {
  const outputs: Generation[] = [];
  for (const piece of pieces) {
    const { choices } = (outputs[piece.input] ??= { choices: [] });
    const known = choices[piece.choice] ?? untold;
    const { logprobs, finishReason } = piece;
    choices[piece.choice] = {
      text: known.text + piece.text,
      finish_reason: finishReason ?? known.finish_reason,
      tokens: known.tokens + piece.tokens,
      logprobs: logprobs === undefined ? known.logprobs : [...(known.logprobs ?? []), ...logprobs],
      ...callsWith(known.tool_calls ?? [], piece),
    };
  }
  return outputs;
}

const untold: Choice = { text: "", finish_reason: "length", tokens: 0, logprobs: null };

function callsWith(told: readonly NonNullable<Choice["tool_calls"]>[number][], piece: Piece) {
  const calls = addCalls(told, piece.toolCalls ?? []);
  return calls.length === 0 ? {} : { tool_calls: [...calls] };
}
