/** What tasks that read whole texts share: the rows of their inputs, and the count of tokens of a request. */
import { CodedError } from "#contract/errors.ts";
import type { Usage } from "#contract/result-document.ts";
import { limits } from "#contract/limits.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import type { EncodedInput, InputEncoder, InputTokens, NamedInput } from "./encode-input.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { OutputName } from "../model/encoder-session.ts";
import type { EncoderRow } from "../model/encoder-row.ts";

/** @throws CodedError where the model makes no sentence vectors */
export function sentenceOf(model: EncoderModel): NonNullable<EncoderModel["sentence"]> {
  if (model.sentence !== null) return model.sentence;
  throw new CodedError("invalid_value", `${model.id} makes no sentence vectors`, {
    param: "model",
  });
}

/** The inputs of a request under their names in it. */
export function namedInputs(inputs: readonly NamedInput["input"][], list = "inputs"): NamedInput[] {
  return inputs.map((input, index) => ({ input, name: `${list}[${index}]` }));
}

type RowRules = {
  counter: TokenCounter;
  outputs: readonly OutputName[];
  /** What is kept of an input, before it is held to the model's length. Absent: all. */
  cut?: (tokens: InputTokens) => { kept: InputTokens; isCut: boolean };
};

/** One row per input. @throws CodedError for an input or a request that is too long; the signal's reason */
export async function rowsOf(
  inputs: Iterable<NamedInput>,
  encoder: InputEncoder,
  { counter, outputs, cut = whole }: RowRules,
): Promise<EncoderRow[]> {
  const rows: EncoderRow[] = [];
  const slices = new TimeSlices();
  const unpooled = await encoder.unpooledTokens();
  for await (const tokens of encoder.tokens(inputs)) {
    if (slices.over) await slices.next();
    const { kept, isCut } = cut(tokens);
    const encoded = encoder.single(kept);
    counter.add({ ...encoded, truncated: encoded.truncated || isCut });
    rows.push({ ids: encoded.ids, outputs, ...(unpooled > 0 ? { unpooled } : {}) });
  }
  return rows;
}

const whole = (kept: InputTokens) => ({ kept, isCut: false });

export function tooManyTokens(): CodedError {
  return new CodedError(
    "context_length_exceeded",
    `In all there are more than ${limits.tokensPerRequestMax} tokens in inputs. Send them in several requests.`,
    { param: "inputs" },
  );
}

/** Counts the tokens that a request reads or makes, within the bound of the contract, and the inputs that were cut. */
export class TokenCounter {
  tokens = 0;
  #inputs = 0;
  #truncated = 0;

  /**
   * @param sequences that one input is part of
   * @throws CodedError where the request has become too long
   */
  add(...sequences: EncodedInput[]): void {
    this.#inputs += 1;
    if (sequences.some(({ truncated }) => truncated)) this.#truncated += 1;
    this.count(sequences.reduce((sum, { ids }) => sum + ids.length, 0));
  }

  /** Counts tokens that are in no sequence. @throws CodedError where the request has become too long */
  count(tokens: number): void {
    this.tokens += tokens;
    this.#check(this.tokens);
  }

  /**
   * So many sequences will be added, each of at least so many tokens.
   * @throws CodedError where the request will be too long, before anything is made of its inputs
   */
  expect(sequences: number, tokensEach: number): void {
    this.#check(this.tokens + sequences * tokensEach);
  }

  /** Tokens that the request may still hold. */
  get remaining(): number {
    return limits.tokensPerRequestMax - this.tokens;
  }

  #check(tokens: number): void {
    if (tokens <= limits.tokensPerRequestMax) return;
    throw tooManyTokens();
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
