/** What the sentence tasks share: the model must make sentence vectors, and a request has a total length. */
import { CodedError } from "#contract/errors.ts";
import type { Usage } from "#contract/events.ts";
import { limits } from "#contract/limits.ts";
import type { EncodedInput } from "./encode-input.ts";
import type { EncoderModel } from "./encoder-model.ts";

/** @throws CodedError where the model makes no sentence vectors */
export function sentenceOf(model: EncoderModel): NonNullable<EncoderModel["sentence"]> {
  if (model.sentence !== null) return model.sentence;
  throw new CodedError("invalid_value", `${model.id} makes no sentence vectors`, {
    param: "model",
  });
}

/** Counts the tokens of a request as its inputs are encoded, and the inputs that were cut. */
export class RequestTally {
  tokens = 0;
  #inputs = 0;
  #truncated = 0;

  /** @throws CodedError where the request has become too long */
  add(input: EncodedInput): void {
    this.#inputs += 1;
    this.tokens += input.ids.length;
    if (input.truncated) this.#truncated += 1;
    if (this.tokens <= limits.tokensPerRequestMax) return;
    throw new CodedError(
      "context_length_exceeded",
      `The inputs hold more than ${limits.tokensPerRequestMax} tokens in all. Send them in several requests.`,
      { param: "inputs" },
    );
  }

  usage(): Usage {
    const truncated = this.#truncated === 0 ? {} : { truncatedInputs: this.#truncated };
    return { promptTokens: this.tokens, ...truncated };
  }

  /** @param maxTokens the model's length */
  warnings(maxTokens: number): string[] {
    if (this.#truncated === 0) return [];
    return [
      `truncated: ${this.#truncated} of ${this.#inputs} texts were cut to ${maxTokens} tokens`,
    ];
  }
}
