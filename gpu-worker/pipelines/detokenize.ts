/** The texts that tokens stand for. Runs no model. */
import { CodedError } from "#contract/errors.ts";
import type { TaskOutput } from "#contract/tasks.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { EncoderPipeline } from "./pipeline.ts";
import { ResultSize } from "./result-size.ts";
import { TokenCounter } from "./sentence-request.ts";

/** Bytes of the text of an average token. */
const bytesPerToken = 8;

export const detokenize: EncoderPipeline<"detokenize"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, context) {
    const keepSpecialTokens = parameters.skip_special_tokens === false;
    const counter = new TokenCounter();
    for (const [index, ids] of inputs.entries()) {
      checkIds(ids, `inputs[${index}]`, model);
      counter.count(ids.length);
    }
    const size = new ResultSize(context, { param: "inputs", fix: "Send fewer tokens." });
    await size.expect(counter.tokens * bytesPerToken);
    const outputs: TaskOutput<"detokenize">[] = [];
    for (const ids of inputs) {
      context.charge(ids.length);
      const [text = ""] = await model.tokenizer.decodeAll([ids], { keepSpecialTokens });
      context.signal.throwIfAborted();
      size.add(text.length);
      outputs.push({ text });
    }
    return { outputs, usage: counter.usage(), warnings: [] };
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
