/**
 * One choice as it grows: tokens in, text out, until an end token, a stop string or its length ends it. Special tokens
 * are no text, as with `skip_special_tokens` of transformers and vLLM. One that was closed because no more would fit is
 * cut, as OpenAI's `length` says, though it is whole.
 */
import type { Piece } from "#contract/events.ts";
import type { Choice, FinishReason, TokenLogprob } from "#contract/tasks/generation.ts";
import type { ToolCall, ToolCallPiece } from "#contract/tasks/tool-call.ts";
import { StopScanner } from "../llm/stop-scanner.ts";
import { TextStream } from "../llm/text-stream.ts";
import type { GeneratedToken } from "../model/generation.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { CallParser } from "../tool-calls/call-parser.ts";
import { tokenLogprob } from "./token-logprobs.ts";

/** What a choice begins with, before its first token. */
export type ChoiceStart = { readonly text: string; readonly logprobs: readonly TokenLogprob[] };

export type ChoiceOptions = {
  readonly tokenizer: Tokenizer;
  readonly endTokens: ReadonlySet<number>;
  readonly maxTokens: number;
  readonly stops: readonly string[];
  readonly prompt: readonly number[];
  /** Whether each token's log probability is told. */
  readonly logprobs: boolean;
  /** Parts what is written into text and calls. Absent: all of it is text. */
  readonly calls?: CallParser;
  /** Asked for with the first token, or at the end of a choice that has none. */
  start(): ChoiceStart;
};

/** What a choice has grown by. */
export type Growth = Omit<Piece, "input" | "choice">;

type Read = { readonly text: string; readonly calls: ToolCallPiece[] };

/** Tokens of a prompt that a decoder needs to see to go on with its text as it should. */
const promptTokensSeen = 6;

export class ChoiceWriter {
  readonly #options: ChoiceOptions;
  readonly #stream: TextStream;
  readonly #scanner: StopScanner;
  readonly #logprobs: TokenLogprob[] = [];
  #text = "";
  #tokens = 0;
  #forcedTokens = 0;
  #finishReason: FinishReason | null = null;

  constructor(options: ChoiceOptions) {
    const { tokenizer, prompt, stops } = options;
    this.#options = options;
    this.#stream = new TextStream((ids) => tokenizer.decode(ids), prompt.slice(-promptTokensSeen));
    this.#scanner = new StopScanner(stops);
  }

  /** Tokens that were generated. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Of them, those that the model was not asked for. */
  get forcedTokens(): number {
    return this.#forcedTokens;
  }

  /** The next token. After one with a `finishReason` there is none. */
  push(generated: GeneratedToken): Growth {
    const { tokenizer, logprobs, start } = this.#options;
    const from = this.#tokens;
    const textFrom = this.#text.length;
    const before = from === 0 ? start() : null;
    this.#tokens += 1;
    if (generated.forced) this.#forcedTokens += 1;
    const read = this.#read(generated);
    const text = (before?.text ?? "") + read.text;
    this.#text += text;
    const told = logprobs
      ? [...(before?.logprobs ?? []), tokenLogprob(generated.token, generated, tokenizer)]
      : [];
    for (const each of told) this.#logprobs.push(each);
    return {
      from,
      tokens: 1,
      textFrom,
      text,
      ...(logprobs && { logprobs: told }),
      ...(read.calls.length > 0 && { toolCalls: read.calls }),
      ...(this.#finishReason !== null && { finishReason: this.#finishReason }),
    };
  }

  /** That no token was asked for: it is what it begins with. */
  endAtStart(): Growth {
    const { logprobs, start } = this.#options;
    const { text, logprobs: told } = start();
    this.#text = text;
    for (const each of logprobs ? told : []) this.#logprobs.push(each);
    this.#finishReason = "length";
    const grown = { from: 0, tokens: 0, textFrom: 0, text, finishReason: this.#finishReason };
    return { ...grown, ...(logprobs && { logprobs: [...told] }) };
  }

  /** @throws Error for one that has not ended */
  choice(): Choice {
    if (this.#finishReason === null) throw new Error("a choice was not written to its end");
    return {
      text: this.#text,
      finish_reason: this.#finishReason,
      tokens: this.#tokens,
      logprobs: this.#options.logprobs ? this.#logprobs : null,
      ...(this.#calls.length > 0 && { tool_calls: [...this.#calls] }),
    };
  }

  get #calls(): readonly ToolCall[] {
    return this.#options.calls?.calls ?? [];
  }

  /** @returns what may be shown now */
  #read({ token, closing }: GeneratedToken): Read {
    const ends = this.#options.endTokens.has(token);
    const first = this.#part(ends ? "" : this.#stream.push(token));
    if (first.stop !== null) return this.#end("stop_sequence", first);
    if (!ends && this.#tokens < this.#options.maxTokens) return first;
    const last = this.#part(this.#stream.finish(), true);
    const both = { text: first.text + last.text, calls: [...first.calls, ...last.calls] };
    if (last.stop !== null) return this.#end("stop_sequence", both);
    const reason = ends && !closing ? "end_token" : "length";
    return this.#end(reason, { ...both, text: both.text + this.#scanner.finish() });
  }

  /** Calls are not looked through for stop strings: what they hold must stay whole. @param last nothing follows */
  #part(piece: string, last = false): Read & { stop: string | null } {
    const parser = this.#options.calls;
    if (parser === undefined) return { ...this.#scanner.push(piece), calls: [] };
    const now = parser.push(piece);
    const rest = last ? parser.finish() : { text: "", calls: [] };
    const calls = [...now.calls, ...rest.calls];
    return { ...this.#scanner.push(now.text + rest.text), calls };
  }

  #end(reason: FinishReason, read: Read): Read {
    const calls = this.#calls.length > 0 && reason !== "length";
    this.#finishReason = calls ? "tool_calls" : reason;
    return { text: read.text, calls: read.calls };
  }
}
