/**
 * A prompt: messages with variables, and examples of what they are answered with. Pure: a prompt and values give the
 * messages of a conversation, on either side of the queue the same.
 */
import * as z from "zod";
import { CodedError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { ChatMessage } from "../tasks/chat-completion.ts";
import { parseTemplate, type Segment } from "./template.ts";
import {
  problemOf,
  textOf,
  Value,
  type Values,
  type VariableSchema,
  VariablesSchema,
} from "./variables.ts";

export const promptLimits = {
  messagesMax: 50,
  examplesMax: 64,
  nameCharactersMax: 100,
  /** Of one version, as JSON. */
  versionBytesMax: 256 * 1024,
} as const;

const text = z.string().max(limits.stringCharactersMax);

export const PromptMessage = z.strictObject({
  role: z.enum(["system", "developer", "user", "assistant"]).describe("Who speaks."),
  content: text.describe("What is said. {{name}} is a variable; {{{{ stands for two braces."),
});
export type PromptMessage = z.infer<typeof PromptMessage>;

export const PromptExample = z.strictObject({
  variables: z.record(z.string().max(64), Value).describe("The values of the example."),
  output: text.min(1).describe("What they are to be answered with."),
});
export type PromptExample = z.infer<typeof PromptExample>;

export const Prompt = z.strictObject({
  messages: z
    .array(PromptMessage)
    .min(1)
    .max(promptLimits.messagesMax)
    .describe("What is said before the answer."),
  variables: VariablesSchema.describe("What the variables are, as a JSON Schema of an object."),
  examples: z
    .array(PromptExample)
    .max(promptLimits.examplesMax)
    .describe(
      "Shown as turns of the conversation before the last: the messages from the first of the user on, with the " +
        "example's values, then its output.",
    ),
});
export type Prompt = z.infer<typeof Prompt>;

/** Each `{{name}}` of the messages as a string, of a prompt that says nothing of its variables. */
export function impliedVariables(messages: readonly PromptMessage[]): VariablesSchema {
  const names = messages.flatMap(({ content }) => namesIn(parseTemplate(content)));
  const properties = Object.fromEntries(
    names.map((name): [string, VariableSchema] => [name, { type: "string" }]),
  );
  return { type: "object", properties };
}

function namesIn(parsed: ReturnType<typeof parseTemplate>): string[] {
  if (!Array.isArray(parsed)) return [];
  return parsed.flatMap((segment) => (typeof segment === "string" ? [] : [segment.name]));
}

/** @param at the prompt's own path, with a dot at its end, or nothing @throws CodedError for one that never renders */
export function checkPrompt({ messages, variables, examples }: Prompt, at = ""): void {
  for (const [index, { content }] of messages.entries()) {
    const field = `${at}messages[${index}].content`;
    for (const name of namesIn(segmentsOf(content, field))) {
      if (!Object.hasOwn(variables.properties, name))
        throw wrong(
          field,
          `has {{${name}}}, which is no variable of the prompt`,
          "Add it to variables",
        );
    }
  }
  for (const [name, schema] of Object.entries(variables.properties)) {
    const problem = schema.default === undefined ? null : problemOf(schema, schema.default);
    if (problem !== null) throw wrong(`${at}variables.properties.${name}.default`, problem);
  }
  const missing = variables.required?.find((name) => !Object.hasOwn(variables.properties, name));
  if (missing !== undefined)
    throw wrong(`${at}variables.required`, `names ${missing}, which is no property`);
  if (examples.length > 0 && !messages.some(({ role }) => role === "user"))
    throw wrong(`${at}examples`, "need a message of the user, which they are turns of");
  for (const [index, example] of examples.entries())
    fillIn(variables, example.variables, `${at}examples[${index}].variables`);
}

function segmentsOf(content: string, field: string): Segment[] {
  const parsed = parseTemplate(content);
  if (Array.isArray(parsed)) return parsed;
  throw wrong(
    field,
    `has {{ at character ${parsed.at + 1} that begins no variable`,
    "Write {{name}}, or {{{{ for two braces",
  );
}

/** @returns all values, defaults among them @throws CodedError that names the variable at fault */
export function fillIn({ properties }: VariablesSchema, given: Values, at: string): Values {
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(properties, name));
  if (unknown !== undefined) {
    const names = Object.keys(properties);
    const known = names.length === 0 ? "The prompt has none." : `It has ${names.join(", ")}.`;
    throw new CodedError(
      "unknown_parameter",
      `${at} has no variable ${JSON.stringify(unknown.slice(0, 64))}. ${known}`,
      { param: `${at}.${unknown.slice(0, 64)}` },
    );
  }
  const entries = Object.entries(properties).map(([name, schema]) => {
    const value = Object.hasOwn(given, name) ? given[name] : undefined;
    const used = value ?? schema.default;
    if (used === undefined) {
      const message = `Missing required parameter: ${at}.${name}. The prompt has no default for it: send a value.`;
      throw new CodedError("missing_required_parameter", message, { param: `${at}.${name}` });
    }
    const problem = problemOf(schema, used);
    if (problem !== null) throw wrong(`${at}.${name}`, problem);
    return [name, used] as const;
  });
  return Object.fromEntries(entries);
}

/** @param at where the values stand in a body @throws CodedError that names the variable at fault */
export function renderPrompt(prompt: Prompt, given: Values, at: string): ChatMessage[] {
  const { variables, messages, examples } = prompt;
  const values = fillIn(variables, given, at);
  const firstOfUser = messages.findIndex(({ role }) => role === "user");
  const cut = firstOfUser === -1 ? messages.length : firstOfUser;
  const turn = messages.slice(cut);
  const writer = new MessageWriter(at);
  return [
    ...writer.fill(messages.slice(0, cut), values),
    ...examples.flatMap(({ variables: own, output }, index): ChatMessage[] => [
      ...writer.fill(turn, fillIn(variables, own, `examples[${index}].variables`)),
      { role: "assistant", content: output },
    ]),
    ...writer.fill(turn, values),
  ];
}

/** Holds what is written to the characters of one text: a variable may stand in a prompt a thousand times. */
class MessageWriter {
  readonly #at: string;
  #left: number = limits.stringCharactersMax;

  constructor(at: string) {
    this.#at = at;
  }

  fill(messages: readonly PromptMessage[], values: Values): ChatMessage[] {
    return messages.map(({ role, content }) => {
      const parts = segmentsOf(content, "messages").map((segment) => {
        const part = typeof segment === "string" ? segment : textOf(values[segment.name]);
        this.#left -= part.length;
        if (this.#left < 0) throw tooLong(this.#at);
        return part;
      });
      return { role, content: parts.join("") };
    });
  }
}

function tooLong(at: string): CodedError {
  return new CodedError(
    "invalid_value",
    `The prompt with these variables has more than ${limits.stringCharactersMax} characters, the limit of a prompt. ` +
      "Send shorter values.",
    { param: at },
  );
}

function wrong(param: string, problem: string, fix = "Correct it"): CodedError {
  return new CodedError("invalid_value", `${param} ${problem}. ${fix}.`, { param });
}
