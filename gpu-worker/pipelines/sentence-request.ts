/** What tasks that read whole texts share: rows of their inputs, what a request holds in all, and who makes sentence vectors. */
import { CodedError } from "#contract/errors.ts";
import type { Usage } from "#contract/events.ts";
import { limits } from "#contract/limits.ts";
import type { EncodedInput, InputEncoder, NamedInput } from "./encode-input.ts";
import type { EncoderModel, OutputName } from "./encoder-model.ts";
import type { EncoderRow } from "./pipeline.ts";

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

/** One row per input. @throws CodedError for an input or a request that is too long; the signal's reason */
export async function rowsOf(
  inputs: readonly NamedInput[],
  encoder: InputEncoder,
  { tally, outputs }: { tally: RequestTally; outputs: readonly OutputName[] },
): Promise<EncoderRow[]> {
  const rows: EncoderRow[] = [];
  const unpooled = await encoder.unpooledTokens();
  for await (const tokens of encoder.tokens(inputs)) {
    const encoded = encoder.single(tokens);
    tally.add(encoded);
    rows.push({ ids: encoded.ids, outputs, ...(unpooled > 0 ? { unpooled } : {}) });
  }
  return rows;
}

/** Counts the tokens of a request as its inputs are encoded, and the inputs that were cut. */
export class RequestTally {
  tokens = 0;
  #inputs = 0;
  #truncated = 0;

  /**
   * @param sequences that one input is part of
   * @throws CodedError where the request has become too long
   */
  add(...sequences: EncodedInput[]): void {
    this.#inputs += 1;
    for (const { ids } of sequences) this.tokens += ids.length;
    if (sequences.some(({ truncated }) => truncated)) this.#truncated += 1;
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
