/** The texts that tokens stand for. Runs no model. */
import type { TaskOutput } from "#contract/tasks.ts";
import { checkTokenIds } from "./check-token-ids.ts";
import type { TokenizerPipeline } from "./pipeline.ts";
import { ResultSize } from "./result-size.ts";
import { TokenCounter } from "./sentence-request.ts";

/** Bytes of the text of an average token. */
const bytesPerToken = 8;

export const detokenize: TokenizerPipeline<"detokenize"> = {
  kind: "tokenizer",
  async answer({ inputs, parameters }, model, context) {
    const keepSpecialTokens = parameters.skip_special_tokens === false;
    const counter = new TokenCounter();
    for (const [index, ids] of inputs.entries()) {
      checkTokenIds(ids, `inputs[${index}]`, model);
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
