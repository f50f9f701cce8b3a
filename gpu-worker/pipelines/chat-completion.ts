/** The next message of a conversation, which the checkpoint's own template makes a prompt of. */
import { CodedError } from "#contract/errors.ts";
import type { TaskInput } from "#contract/tasks.ts";
import type { ChatTemplate, DecoderModel } from "../model/decoder-model.ts";
import { generate } from "./generate.ts";
import type { DecoderPipeline, GenerationContext } from "./pipeline.ts";
import { type Prompt, readPrompts } from "./read-prompts.ts";

export const chatCompletion: DecoderPipeline<"chat-completion"> = {
  kind: "decoder",
  async answer({ inputs, parameters }, model, context) {
    const template = templateOf(model);
    const prompts = renderAll(inputs, template, { model, context });
    return generate(prompts, { parameters, echo: false }, { model, context });
  },
};

/** @throws CodedError where the model takes no conversation */
export function templateOf({ id, chatTemplate }: DecoderModel): ChatTemplate {
  if (chatTemplate !== null) return chatTemplate;
  throw new CodedError(
    "invalid_value",
    `${id} has no chat template, so it takes no conversation: use text-generation, or another model.`,
    { param: "model" },
  );
}

/** One after the other, so that no more than one is held as a text. */
async function* renderAll(
  inputs: readonly TaskInput<"chat-completion">[],
  template: ChatTemplate,
  { model, context }: { model: DecoderModel; context: GenerationContext },
): AsyncGenerator<Prompt> {
  for (const [index, { messages }] of inputs.entries()) {
    const input = await context.renderChat(template, messages);
    const named = [{ input, name: `inputs[${index}]` }];
    // A template writes the special tokens itself.
    yield* readPrompts(named, model, { wrapped: false, signal: context.signal });
  }
}
