/**
 * One input of a sentence task, text or ids, to the sequence the model reads; checks its length and its ids.
 */
import { CodedError } from "#contract/errors.ts";
import type { EncoderModel } from "./encoder-model.ts";

export type InputRules = {
  truncate: boolean;
  /** The end that is cut off. */
  truncationDirection: "left" | "right";
  /** Put before the text. */
  prompt: string;
};

export type EncodedInput = { ids: number[]; truncated: boolean };

/** A refused input is counted up to this many times the model's length; past it the message says "more than". */
const countedLengths = 32;

/** Encodes the inputs of one request, yielding as it goes. */
export class InputEncoder {
  readonly #model: EncoderModel;
  readonly #rules: InputRules;
  readonly #signal: AbortSignal;

  constructor(model: EncoderModel, rules: InputRules, signal: AbortSignal) {
    this.#model = model;
    this.#rules = rules;
    this.#signal = signal;
  }

  /**
   * @param name of the input, as the caller knows it: `inputs[3]`
   * @throws CodedError context_length_exceeded, invalid_value; the signal's reason
   */
  async encode(input: string | readonly number[], name: string): Promise<EncodedInput> {
    const ids =
      typeof input === "string"
        ? await this.#encodeText(this.#rules.prompt + input)
        : this.#checkIds(input, name);
    const { tokenizer, limits } = this.#model;
    const wrapped = tokenizer.wrap(ids.tokens).ids;
    if (wrapped.length <= limits.maxTokens) return { ids: wrapped, truncated: false };
    if (!this.#rules.truncate) throw this.#tooLong(name, wrapped.length, ids.complete);
    return { ids: tokenizer.wrap(this.#cut(ids.tokens)).ids, truncated: true };
  }

  async #encodeText(text: string): Promise<{ tokens: number[]; complete: boolean }> {
    const { tokenizer, limits } = this.#model;
    const { truncate, truncationDirection } = this.#rules;
    const [encoded] = await tokenizer.encode([text], {
      tokensMax: truncate ? limits.maxTokens : limits.maxTokens * countedLengths,
      from: truncate && truncationDirection === "left" ? "end" : "start",
      signal: this.#signal,
    });
    return { tokens: encoded?.ids ?? [], complete: encoded?.complete ?? true };
  }

  #checkIds(input: readonly number[], name: string): { tokens: readonly number[]; complete: true } {
    const { limits, id } = this.#model;
    if (this.#rules.prompt !== "") {
      throw new CodedError(
        "invalid_value",
        `prompt_name needs texts, but ${name} holds token ids`,
        {
          param: "prompt_name",
        },
      );
    }
    const foreign = input.find((token) => token >= limits.vocabularySize);
    if (foreign === undefined)
      return { tokens: this.#model.tokenizer.unwrap(input), complete: true };
    throw new CodedError(
      "invalid_value",
      `${name} holds the token id ${foreign}, but the ids of ${id} end at ${limits.vocabularySize - 1}. ` +
        "Token ids must be of the model's own vocabulary; with LangChain, set check_embedding_ctx_length=False to send texts.",
      { param: name },
    );
  }

  #cut(tokens: readonly number[]): readonly number[] {
    const { tokenizer, limits } = this.#model;
    const room = Math.max(0, limits.maxTokens - tokenizer.specialTokens.single);
    if (this.#rules.truncationDirection === "right") return tokens.slice(0, room);
    return tokens.slice(tokens.length - room);
  }

  #tooLong(name: string, length: number, exact: boolean): CodedError {
    const { id, limits } = this.#model;
    return new CodedError(
      "context_length_exceeded",
      `${name} has ${exact ? "" : "more than "}${length} tokens, but ${id} reads at most ${limits.maxTokens}. ` +
        "Shorten or split it.",
      { param: name },
    );
  }
}
