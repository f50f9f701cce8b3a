/** Texts that a prompt that ships is given as its input, where a route has texts gone on with. */
import { CodedError } from "#contract/errors.ts";
import { renderPrompt } from "#contract/prompts/prompt.ts";
import { inputVariable, type ReadyPrompt } from "#contract/prompts/ready-prompts.ts";
import type { TaskCall } from "../tasks/job-request.ts";
import { readParameters } from "../tasks/task-inputs.ts";

/** As the route reads them. */
type Asked = { echo?: unknown; max_tokens?: unknown };

/**
 * @param names of the caller's fields: of the texts, and of what asks for an echo
 * @throws CodedError for token ids, and for an echo: a prompt has a text answered
 */
export function callOfTexts(
  ready: ReadyPrompt,
  texts: readonly (string | readonly number[])[],
  { echo, max_tokens, ...sampling }: Asked,
  names: { texts: string; echo: string },
): TaskCall<"chat-completion"> {
  if (echo === true) throw notWith(ready, names.echo, "it answers a text. Leave it out");
  const inputs = texts.map((text) => {
    if (typeof text !== "string")
      throw notWith(ready, names.texts, "it reads no token ids. Send text");
    return { messages: renderPrompt(ready, { [inputVariable]: text }, "prompt.variables") };
  });
  const limited = { ...sampling, max_tokens: max_tokens ?? ready.parameters.max_tokens };
  const parameters = readParameters("chat-completion", limited, []);
  return { task: "chat-completion", inputs, parameters };
}

function notWith({ id }: ReadyPrompt, param: string, why: string): CodedError {
  const message = `${param} is not possible with ${id}: ${why}.`;
  return new CodedError("unsupported_parameter", message, { param });
}
