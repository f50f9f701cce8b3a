/** The texts that tokens stand for. Runs no model. */
import { CodedError } from "#contract/errors.ts";
import type { TaskOutput } from "#contract/tasks.ts";
import type { EncoderModel } from "./encoder-model.ts";
import type { EncoderPipeline } from "./pipeline.ts";
import { ResultSize } from "./result-size.ts";
import { RequestTally } from "./sentence-request.ts";

/** Of a usual token's text. */
const bytesPerToken = 8;

export const detokenize: EncoderPipeline<"detokenize"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, engine) {
    const keepSpecialTokens = parameters.skip_special_tokens === false;
    const tally = new RequestTally();
    for (const [index, ids] of inputs.entries()) {
      checkIds(ids, `inputs[${index}]`, model);
      tally.count(ids.length);
    }
    const size = new ResultSize(engine, { param: "inputs", fix: "Send fewer tokens." });
    await size.expect(tally.tokens * bytesPerToken);
    const outputs: TaskOutput<"detokenize">[] = [];
    for (const ids of inputs) {
      engine.charge(ids.length);
      const [text = ""] = await model.tokenizer.decodeAll([ids], { keepSpecialTokens });
      engine.signal.throwIfAborted();
      size.add(text.length);
      outputs.push({ text });
    }
    return { outputs, usage: tally.usage(), warnings: [] };
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
