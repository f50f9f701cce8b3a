/** The next message of a conversation, which the checkpoint's own template makes a prompt of. */
import { CodedError } from "#contract/errors.ts";
import type { TaskInput } from "#contract/tasks.ts";
import type { Tool } from "#contract/tasks/tool.ts";
import type { ChatTemplate, DecoderModel } from "../model/decoder-model.ts";
import { type ToolTemplate, toolTemplateOf } from "../tool-calls/tool-conversation.ts";
import { askedCalls, callingModel, callsOf } from "./asked-calls.ts";
import { generate } from "./generate.ts";
import type { DecoderPipeline, GenerationContext } from "./pipeline.ts";
import { type Prompt, readPrompts } from "./read-prompts.ts";

type With = { model: DecoderModel; context: GenerationContext };

export const chatCompletion: DecoderPipeline<"chat-completion"> = {
  kind: "decoder",
  async answer({ inputs, parameters }, model, context) {
    const template = templateOf(model);
    const { form, converse } = toolTemplateOf(template.template);
    const asked = askedCalls(parameters);
    const tools = asked?.tools ?? [];
    const prompts = renderAll(inputs, { template, converse, tools }, { model, context });
    if (asked === null) return generate(prompts, { parameters, echo: false }, { model, context });
    const calling = { model: callingModel(form, model), context };
    return generate(
      prompts,
      { parameters, echo: false, calls: callsOf(form, asked, calling) },
      calling,
    );
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

type Told = Pick<ToolTemplate, "converse"> & { template: ChatTemplate; tools: readonly Tool[] };

/** One after the other, so that no more than one is held as a text. */
async function* renderAll(
  inputs: readonly TaskInput<"chat-completion">[],
  { template, converse, tools }: Told,
  { model, context }: With,
): AsyncGenerator<Prompt> {
  for (const [index, { messages }] of inputs.entries()) {
    const input = await context.renderChat(template, converse(messages, tools));
    const named = [{ input, name: `inputs[${index}]` }];
    // A template writes the special tokens itself.
    yield* readPrompts(named, model, { wrapped: false, signal: context.signal });
  }
}
