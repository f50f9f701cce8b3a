/**
 * A text that may hold calls, parted into what is said and what is called, as it comes. The result does not depend on
 * how the text was cut into pieces: what may yet become a mark is held back. White space beside calls is no text, and
 * what looks like a call and is none of a declared tool is text as it stands.
 */
import type { ToolCall, ToolCallPiece } from "#contract/tasks/tool-call.ts";
import type { CallForm } from "./call-form.ts";
import { JsonExtent } from "./json-extent.ts";

export type Parted = { text: string; calls: ToolCallPiece[] };

export type CallParserOptions = {
  readonly form: CallForm;
  /** Of the tools that may be called. */
  readonly names: ReadonlySet<string>;
  /** The id of a call, by its index among those of the text. */
  readonly idOf: (index: number) => string;
};

/**
 * What comes next. "text", or the mark of a call; the name of a call, up to the arguments; the arguments; what follows
 * a call.
 */
type State =
  | { at: "text" }
  | { at: "name"; mark: string }
  | { at: "arguments"; extent: JsonExtent }
  | { at: "after" };

export class CallParser {
  readonly #options: CallParserOptions;
  readonly #calls: ToolCall[] = [];
  #state: State = { at: "text" };
  /** Not read yet: the beginning of a mark, perhaps. */
  #held = "";
  /** White space before `held`, which is text unless a call begins there. */
  #space = "";
  /** A call came last: white space is no text. */
  #isAfterCall = false;

  constructor(options: CallParserOptions) {
    this.#options = options;
  }

  get calls(): readonly ToolCall[] {
    return this.#calls;
  }

  /** The next piece of the text. @returns what is certain now */
  push(piece: string): Parted {
    const parted: Parted = { text: "", calls: [] };
    this.#held += piece;
    while (this.#step(parted));
    return parted;
  }

  /** The text ends. @returns what was held back; a mark that was begun is dropped */
  finish(): Parted {
    const parted: Parted = { text: "", calls: [] };
    if (this.#state.at === "after" && this.#next?.startsWith(this.#held) !== true) this.#leave();
    if (this.#state.at === "text") this.#say(parted, this.#held, true);
    this.#held = "";
    return parted;
  }

  /** @returns whether more can be read of what is held */
  #step(parted: Parted): boolean {
    const state = this.#state;
    switch (state.at) {
      case "text":
        return this.#readText(parted);
      case "name":
        return this.#readName(parted, state.mark);
      case "arguments":
        return this.#readArguments(parted, state.extent);
      case "after":
        return this.#readAfter();
    }
  }

  #readText(parted: Parted): boolean {
    const { trigger, opens, beforeName } = this.#options.form;
    const found = this.#held.indexOf(trigger);
    const certain = found === -1 ? beginningOf(trigger, this.#held) : found;
    this.#say(parted, this.#held.slice(0, certain), false);
    this.#held = this.#held.slice(certain);
    if (found === -1) return false;
    this.#state = { at: "name", mark: opens + beforeName };
    return true;
  }

  #readName(parted: Parted, mark: string): boolean {
    const { afterName } = this.#options.form;
    const held = this.#held;
    if (held.length < mark.length && mark.startsWith(held)) return false;
    const end = held.startsWith(mark) ? held.indexOf(afterName, mark.length) : 0;
    if (end === -1 && mayBeName(held.slice(mark.length), afterName)) return false;
    const name = held.slice(mark.length, end);
    if (end <= 0 || !this.#options.names.has(name)) return this.#isNone(parted);
    this.#begin(parted, name);
    this.#held = held.slice(end + afterName.length);
    return true;
  }

  /** What was taken for the beginning of a call is text. */
  #isNone(parted: Parted): boolean {
    this.#say(parted, this.#held.charAt(0), false);
    this.#held = this.#held.slice(1);
    this.#state = { at: "text" };
    return true;
  }

  #begin(parted: Parted, name: string): void {
    const index = this.#calls.length;
    const id = this.#options.idOf(index);
    this.#calls.push({ id, name, arguments: "" });
    parted.calls.push({ index, id, name, argumentsFrom: 0, arguments: "" });
    this.#state = { at: "arguments", extent: new JsonExtent() };
    this.#space = "";
  }

  #readArguments(parted: Parted, extent: JsonExtent): boolean {
    const length = extent.take(this.#held);
    this.#grow(parted, this.#held.slice(0, length));
    this.#held = this.#held.slice(length);
    if (!extent.ended) return false;
    this.#state = { at: "after" };
    this.#isAfterCall = true;
    return true;
  }

  #grow(parted: Parted, text: string): void {
    const index = this.#calls.length - 1;
    const call = this.#calls[index];
    if (call === undefined || text === "") return;
    const begun = parted.calls.at(-1);
    if (begun?.index === index) begun.arguments += text;
    else parted.calls.push({ index, argumentsFrom: call.arguments.length, arguments: text });
    call.arguments += text;
  }

  /** Between the arguments of a call and what precedes the name of another. */
  get #next(): string | null {
    const { ends, between } = this.#options.form;
    return between === null ? null : ends + between;
  }

  /** Another call, or the end of them. */
  #readAfter(): boolean {
    const { ends, closes, beforeName } = this.#options.form;
    const next = this.#next;
    if (next !== null && this.#held.startsWith(next)) {
      this.#held = this.#held.slice(next.length);
      this.#state = { at: "name", mark: beforeName };
      return true;
    }
    const mayGoOn = (mark: string) =>
      mark.length > this.#held.length && mark.startsWith(this.#held);
    if (mayGoOn(next ?? "") || mayGoOn(ends + closes)) return false;
    this.#leave();
    return true;
  }

  /** No further call follows the last one. */
  #leave(): void {
    const mark = this.#options.form.ends + this.#options.form.closes;
    if (this.#held.startsWith(mark)) this.#held = this.#held.slice(mark.length);
    else if (mark.startsWith(this.#held)) this.#held = "";
    this.#state = { at: "text" };
  }

  /** @param all nothing follows: white space at the end is text too, unless a call came last */
  #say(parted: Parted, text: string, all: boolean): void {
    const whole = this.#space + text;
    const said = whole.trimEnd();
    if (said === "" && this.#isAfterCall) {
      this.#space = all ? "" : whole;
      return;
    }
    const end = all ? whole.length : said.length;
    const begin = this.#isAfterCall ? whole.length - whole.trimStart().length : 0;
    this.#space = whole.slice(end);
    if (end > begin) this.#isAfterCall = false;
    parted.text += whole.slice(Math.min(begin, end), end);
  }
}

/** Where the end of a text begins that may become the mark; the text's length: nowhere. */
function beginningOf(mark: string, text: string): number {
  let from = Math.max(0, text.length - mark.length + 1);
  while (from < text.length && !mark.startsWith(text.slice(from))) from += 1;
  return from;
}

const nameCharactersMax = 64;

/** Whether a text may be a name with the beginning of what follows it. */
function mayBeName(text: string, after: string): boolean {
  const [name = ""] = /^[\w-]*/.exec(text) ?? [];
  return name.length <= nameCharactersMax && after.startsWith(text.slice(name.length));
}
