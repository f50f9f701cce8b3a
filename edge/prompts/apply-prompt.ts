/**
 * A step before a conversation's body is read: the prompt that it names becomes messages before its own, and fields
 * that it leaves out are the prompt's. A prompt that ships is named as a model, too: then the conversation is its
 * input.
 */
import * as z from "zod";
import { renderPrompt } from "#contract/prompts/prompt.ts";
import { inputVariable, type ReadyPrompt, readyPrompt } from "#contract/prompts/ready-prompts.ts";
import type { ChatMessage } from "#contract/tasks/chat-completion.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { validate } from "../http/validation.ts";
import { readMessages } from "../tasks/chat-messages.ts";
import { findPrompt, VersionNumber } from "./find-prompt.ts";

export const PromptReference = z.strictObject({
  id: z.string().min(1).max(100).describe("Of a prompt: GET /v1/prompts lists them."),
  version: VersionNumber.optional().describe("Which version. Default: the newest."),
  variables: z
    .record(z.string(), z.unknown())
    .optional()
    .describe("Values of its variables. Those that are left out have their defaults."),
});

type Fields = Readonly<Record<string, unknown>>;

/** As `applyPrompt`, of a call whose address may name the model: there it may be a prompt that ships, too. */
export async function promptedBody(
  c: EdgeContext,
  value: unknown,
  address: string | null,
): Promise<{ body: unknown; addressed: string | null }> {
  const ready = address === null ? undefined : readyPrompt(address);
  if (ready === undefined || !isFields(value))
    return { body: await applyPrompt(c, value), addressed: address };
  return { body: await applyPrompt(c, { ...value, model: ready.id }), addressed: null };
}

/** @returns the body without `prompt` @throws CodedError */
export async function applyPrompt(c: EdgeContext, value: unknown): Promise<unknown> {
  if (!isFields(value)) return value;
  const { prompt: named, ...body } = value;
  if (named === undefined || named === null) {
    const ready = typeof body["model"] === "string" ? readyPrompt(body["model"]) : undefined;
    return ready === undefined ? body : asModel(c, ready, body);
  }
  // The same bytes mean another prompt once there is a newer version.
  c.set("exactCallKey", undefined);
  const { id, version = null, variables = {} } = validate(PromptReference, named, ["prompt"]);
  const { content } = await findPrompt(c, id, version, "prompt.id");
  const { model, response_format, parameters } = content;
  const messages = renderPrompt(content, variables, "prompt.variables");
  return joined(body, messages, { model, response_format, ...parameters });
}

/** What it says of itself comes first, and what it says of its input is the conversation. */
function asModel(c: EdgeContext, ready: ReadyPrompt, body: Fields): unknown {
  const messages = renderPrompt(ready, { [inputVariable]: "" }, "prompt.variables").slice(0, -1);
  const { model: _, ...others } = body;
  return joined(others, messages, { model: settingsOf(c.env).promptModel, ...ready.parameters });
}

function joined(body: Fields, before: readonly ChatMessage[], defaults: Fields): unknown {
  const { messages: own } = body;
  // What is wrong with one is said of its place in the body; OpenAI's clients want a list, if an empty one.
  const none = own === undefined || own === null || (Array.isArray(own) && own.length === 0);
  if (!none) readMessages(own);
  const said = Object.entries(body).filter(([, given]) => given !== undefined && given !== null);
  const limited = said.some(([name]) => name === "max_tokens" || name === "max_completion_tokens");
  const { max_tokens, ...rest } = defaults;
  return {
    ...rest,
    ...(limited ? {} : { max_tokens }),
    ...Object.fromEntries(said),
    messages: Array.isArray(own) ? [...before, ...own] : [...before],
  };
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
