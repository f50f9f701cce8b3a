/**
 * One choice as it grows: tokens in, text out, until an end token, a stop string or its length ends it. Special tokens
 * are no text, as with `skip_special_tokens` of transformers and vLLM. One that was closed because no more would fit is
 * cut, as OpenAI's `length` says, though it is whole.
 */
import type { Piece } from "#contract/events.ts";
import type { Choice, FinishReason, TokenLogprob } from "#contract/tasks/generation.ts";
import { StopScanner } from "../llm/stop-scanner.ts";
import { TextStream } from "../llm/text-stream.ts";
import type { GeneratedToken } from "../model/generation.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
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
  /** Asked for with the first token. */
  start(): ChoiceStart;
};

/** What a choice has grown by. */
export type Growth = Omit<Piece, "input" | "choice">;

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
    const text = (before?.text ?? "") + this.#read(generated);
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
      ...(this.#finishReason !== null && { finishReason: this.#finishReason }),
    };
  }

  /** @throws Error for one that has not ended */
  choice(): Choice {
    if (this.#finishReason === null) throw new Error("a choice was not written to its end");
    return {
      text: this.#text,
      finish_reason: this.#finishReason,
      tokens: this.#tokens,
      logprobs: this.#options.logprobs ? this.#logprobs : null,
    };
  }

  /** @returns what may be shown now */
  #read({ token, closing }: GeneratedToken): string {
    const ends = this.#options.endTokens.has(token);
    const first = ends ? { text: "", stop: null } : this.#scanner.push(this.#stream.push(token));
    if (first.stop !== null) return this.#end("stop_sequence", first.text);
    if (!ends && this.#tokens < this.#options.maxTokens) return first.text;
    const last = this.#scanner.push(this.#stream.finish());
    if (last.stop !== null) return this.#end("stop_sequence", first.text + last.text);
    const reason = ends && !closing ? "end_token" : "length";
    return this.#end(reason, first.text + last.text + this.#scanner.finish());
  }

  #end(reason: FinishReason, text: string): string {
    this.#finishReason = reason;
    return text;
  }
}
