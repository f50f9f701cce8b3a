/** The texts that tokens stand for. Runs no model. */
import { CodedError } from "#contract/errors.ts";
import type { EncoderModel } from "./encoder-model.ts";
import type { EncoderPipeline } from "./pipeline.ts";

export const detokenize: EncoderPipeline<"detokenize"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model) {
    const keepSpecialTokens = parameters.skip_special_tokens === false;
    for (const [index, ids] of inputs.entries()) checkIds(ids, `inputs[${index}]`, model);
    return {
      outputs: inputs.map((ids) => ({ text: model.tokenizer.decode(ids, { keepSpecialTokens }) })),
      usage: { promptTokens: 0 },
      warnings: [],
    };
  },
};

function checkIds(ids: readonly number[], name: string, { limits, id }: EncoderModel): void {
  const at = ids.findIndex((token) => token >= limits.vocabularySize);
  if (at === -1) return;
  throw new CodedError(
    "invalid_value",
    `${name}[${at}] is the token id ${ids[at]}, but the ids of ${id} end at ${limits.vocabularySize - 1}. ` +
      "Token ids must be of the model's own vocabulary.",
    { param: `${name}[${at}]` },
  );
}
