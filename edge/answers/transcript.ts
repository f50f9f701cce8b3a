/**
 * What has been told of each choice of a computation, so that what a worker repeats is told once, whoever repeats it,
 * and what the result holds beyond it can be told at the end.
 */
import type { Piece } from "#contract/events.ts";
import type { Choice, Generation } from "#contract/tasks/generation.ts";
import type { ToolCall, ToolCallPiece } from "#contract/tasks/tool-call.ts";
import { addCalls, beyondCalls, restOfCalls } from "./told-calls.ts";

type Told = { tokens: number; text: string; calls: readonly ToolCall[]; finished: boolean };

/**
 * What became of a piece: told, in whole or in part; known already; or it leaves something out, or says something else
 * than was told.
 */
export type Taken =
  | { kind: "told"; piece: Piece }
  | { kind: "known" }
  | { kind: "gap" }
  | { kind: "differs" };

/** Of all choices together. Past it nothing is told before the result. */
const charactersMax = 2 * 1024 * 1024;
/** What the result tells at once, so that a reader need not hold all of it. */
const restTokensMax = 32;
const restCharactersMax = 16_384;

const untold: Told = { tokens: 0, text: "", calls: [], finished: false };

export class Transcript {
  readonly #choices = new Map<string, Told>();
  #tokens = 0;
  #characters = 0;

  take(piece: Piece): Taken {
    const told = this.#of(piece.input, piece.choice);
    if (piece.from > told.tokens || piece.textFrom > told.text.length) return { kind: "gap" };
    if (this.#characters > charactersMax) return { kind: "gap" };
    const calls = beyondCalls(piece.toolCalls ?? [], told.calls);
    if (calls === "gap" || calls === "differs") return { kind: calls };
    const isNext = piece.from === told.tokens && piece.textFrom === told.text.length;
    if (isNext && !told.finished) {
      const next = withCalls(piece, calls);
      this.#add(next, told);
      return { kind: "told", piece: next };
    }
    const known = told.text.slice(piece.textFrom, piece.textFrom + piece.text.length);
    if (!piece.text.startsWith(known)) return { kind: "differs" };
    const fresh = beyond(withCalls(piece, calls), told, known.length);
    if (fresh === null) return { kind: "known" };
    // What a choice ended with before is its end.
    if (told.finished) return { kind: "differs" };
    this.#add(fresh, told);
    return { kind: "told", piece: fresh };
  }

  /** @returns the text of a choice, as far as that of the piece */
  textUpTo({ input, choice, textFrom, text }: Piece): string {
    return this.#of(input, choice).text.slice(0, textFrom + text.length);
  }

  /**
   * Whether the result holds nothing that was not told: each choice has a token at least, unless none has.
   * @param tokens that were generated for it
   */
  isWhole(tokens = 0): boolean {
    if (tokens === 0 || tokens !== this.#tokens) return false;
    return [...this.#choices.values()].every(({ finished }) => finished);
  }

  /**
   * What the result of an input holds beyond what was told.
   * @returns null where it holds something else than was told
   */
  rest(input: number, { choices }: Generation): Piece[] | null {
    const rests = choices.map((choice, index) => {
      const told = this.#of(input, index);
      const calls = restOfCalls(choice.tool_calls ?? [], told.calls);
      return choice.text.startsWith(told.text) && calls !== null
        ? restOf(choice, { ...told, callsLeft: calls }, { input, choice: index })
        : null;
    });
    return rests.some((rest) => rest === null) ? null : rests.flatMap((rest) => rest ?? []);
  }

  #of(input: number, choice: number): Told {
    return this.#choices.get(`${input} ${choice}`) ?? untold;
  }

  #add(piece: Piece, told: Told): void {
    const { input, choice, tokens, text, toolCalls = [], finishReason } = piece;
    this.#choices.set(`${input} ${choice}`, {
      tokens: told.tokens + tokens,
      text: told.text + text,
      calls: addCalls(told.calls, toolCalls),
      finished: finishReason !== undefined,
    });
    this.#tokens += tokens;
    this.#characters += text.length;
    for (const call of toolCalls) this.#characters += call.arguments.length;
  }
}

function withCalls({ toolCalls, ...piece }: Piece, calls: ToolCallPiece[]): Piece {
  return toolCalls === undefined || calls.length === 0 ? piece : { ...piece, toolCalls: calls };
}

/** What of the piece was not told; null: nothing. */
function beyond(piece: Piece, told: Told, knownCharacters: number): Piece | null {
  const knownTokens = Math.min(piece.tokens, told.tokens - piece.from);
  if (knownTokens === 0 && knownCharacters === 0) return piece;
  const tokens = piece.tokens - knownTokens;
  const text = piece.text.slice(knownCharacters);
  const ends = piece.finishReason !== undefined && !told.finished;
  if (tokens === 0 && text === "" && piece.toolCalls === undefined && !ends) return null;
  const { logprobs, ...rest } = piece;
  const left = logprobs === undefined ? {} : { logprobs: lastOf(logprobs, tokens) };
  return { ...rest, from: told.tokens, tokens, textFrom: told.text.length, text, ...left };
}

/** With `echo` a choice has log probabilities of its prompt too, before those of its tokens. */
function lastOf<T>(list: readonly T[], count: number): T[] {
  return list.slice(list.length - Math.min(count, list.length));
}

/**
 * In pieces of some kilobytes. Log probabilities of a prompt that is repeated are no tokens of the choice. Tokens that
 * have none come with the first piece, so that no other looks like the first of its choice.
 */
function restOf(
  choice: Choice,
  told: Told & { callsLeft: readonly ToolCallPiece[] },
  place: Pick<Piece, "input" | "choice">,
): Piece[] {
  if (told.finished) return [];
  const tokens = Math.max(0, choice.tokens - told.tokens);
  const all = choice.logprobs;
  const logprobs = all === null || told.tokens === 0 ? all : lastOf(all, tokens);
  const pieces: Piece[] = [];
  const shown = logprobs?.length ?? 0;
  const prompt = Math.max(0, shown - tokens);
  let [from, textFrom, seen] = [told.tokens, told.text.length, 0];
  const parts = partsOf(choice.text.slice(textFrom), logprobs);
  for (const part of [...parts, ...told.callsLeft.flatMap(partsOfCall)]) {
    const { length = 0 } = part.logprobs ?? [];
    const counted = length - Math.min(length, Math.max(0, prompt - seen));
    const made = shown === 0 && pieces.length === 0 ? tokens : counted;
    seen += length;
    pieces.push({ ...place, from, tokens: made, textFrom, ...part });
    from += made;
    textFrom += part.text.length;
  }
  const last = pieces.at(-1);
  if (last === undefined) return [];
  const left = told.tokens + tokens - last.from;
  return [...pieces.slice(0, -1), { ...last, tokens: left, finishReason: choice.finish_reason }];
}

function partsOfCall(call: ToolCallPiece): Pick<Piece, "text" | "toolCalls" | "logprobs">[] {
  const { index, argumentsFrom, arguments: given } = call;
  const first = wholeCharacters(given, restCharactersMax);
  const parts = [{ text: "", toolCalls: [{ ...call, arguments: first }] }];
  for (let at = first.length; at < given.length;) {
    const part = wholeCharacters(given.slice(at), restCharactersMax);
    const piece = { index, argumentsFrom: argumentsFrom + at, arguments: part };
    parts.push({ text: "", toolCalls: [piece] });
    at += part.length;
  }
  return parts;
}

/** At least one. A token is told with its text, as near as that can be told. */
function partsOf(text: string, logprobs: Choice["logprobs"]): Pick<Piece, "text" | "logprobs">[] {
  const parts: Pick<Piece, "text" | "logprobs">[] = [];
  let at = 0;
  const take = (characters: number) => {
    const part = wholeCharacters(text.slice(at), characters);
    at += part.length;
    return part;
  };
  if (logprobs === null) {
    while (text.length - at > restCharactersMax) parts.push({ text: take(restCharactersMax) });
    return [...parts, { text: text.slice(at) }];
  }
  let first = 0;
  for (; first + restTokensMax < logprobs.length; first += restTokensMax) {
    const group = logprobs.slice(first, first + restTokensMax);
    const characters = group.reduce((sum, token) => sum + token.text.length, 0);
    parts.push({ text: take(characters), logprobs: group });
  }
  return [...parts, { text: text.slice(at), logprobs: logprobs.slice(first) }];
}

/** The beginning of a text, about so long, that ends with no half of a character. */
function wholeCharacters(text: string, length: number): string {
  const next = text.codePointAt(length - 1) ?? 0;
  return text.slice(0, next > 0xffff ? length + 1 : length);
}
