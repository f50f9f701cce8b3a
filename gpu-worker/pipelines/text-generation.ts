/** A text, or the model's own ids, gone on with. */
import { generate } from "./generate.ts";
import type { DecoderPipeline } from "./pipeline.ts";
import { readPrompts } from "./read-prompts.ts";

export const textGeneration: DecoderPipeline<"text-generation"> = {
  kind: "decoder",
  answer({ inputs, parameters: { echo = false, ...parameters } }, model, context) {
    const named = inputs.map((input, index) => ({ input, name: `inputs[${index}]` }));
    // As transformers reads a text: with the special tokens that its tokenizer puts around one.
    const prompts = readPrompts(named, model, { wrapped: true, signal: context.signal });
    return generate(prompts, { parameters, echo }, { model, context });
  },
};
