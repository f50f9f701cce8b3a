/** Prompts as callers write and read them. */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import {
  checkPrompt,
  impliedVariables,
  type Prompt,
  PromptExample,
  promptLimits,
  PromptMessage,
} from "#contract/prompts/prompt.ts";
import { PromptReport } from "#contract/prompts/prompt-report.ts";
import { VariablesSchema } from "#contract/prompts/variables.ts";
import { generationParameters } from "#contract/tasks/generation.ts";
import { evaluatedSampling } from "#contract/tasks/prompt-evaluation.ts";
import { utf8Bytes } from "../http/utf8-bytes.ts";
import type { PromptContent, PromptHead, StoredVersion } from "../prompts/stored-prompt.ts";
import { ModelName } from "../tasks/model-name.ts";
import { ResponseFormat } from "./chat-completions.ts";

export const PromptParameters = z
  .strictObject({ ...evaluatedSampling, max_tokens: generationParameters.max_tokens })
  .describe("How answers are written, where a call does not say.");

const content = {
  messages: z
    .array(PromptMessage)
    .min(1)
    .max(promptLimits.messagesMax)
    .describe("What is said before the answer, or before a call's own messages."),
  variables: VariablesSchema.optional().describe(
    "A JSON Schema of the variables. Default: each {{name}} is a string that a call must give.",
  ),
  examples: z
    .array(PromptExample)
    .max(promptLimits.examplesMax)
    .optional()
    .describe("Shown as turns before the last: what the user says, and what is answered."),
  model: ModelName.optional().describe("Which model answers, where a call does not say."),
  response_format: ResponseFormat.optional().describe("Where a call does not say."),
  parameters: PromptParameters.optional(),
} as const;

export const VersionRequest = z.strictObject(content);
export const PromptRequest = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(promptLimits.nameCharactersMax)
    .describe("For people; several may have the same."),
  ...content,
});

export const PromptObject = z.object({
  id: z.string().describe("Names it, in a call too."),
  object: z.literal("prompt").describe("What this is."),
  name: z.string().describe("For people."),
  version: z.int().positive().describe("Which version this is."),
  created_at: z.int().describe("When the version was made. Unix time in seconds."),
  messages: z.array(PromptMessage).describe("What is said before the answer."),
  variables: VariablesSchema.describe("What the variables are."),
  examples: z.array(PromptExample).describe("Shown as turns before the last."),
  model: z.string().nullable().describe("Which model answers. Null: a call says."),
  response_format: z
    .record(z.string(), z.unknown())
    .nullable()
    .describe("As a chat completion takes it. Null: a call says."),
  parameters: PromptParameters,
  evaluation: z
    .object({
      job: z.string().describe("The job that found it."),
      report: PromptReport.describe("What it said."),
    })
    .nullable()
    .describe("Of a version that an optimisation made. Null: it was written by hand."),
});
export type PromptObject = z.infer<typeof PromptObject>;

export const PromptEntry = z.object({
  id: z.string().describe("Names it, in a call too."),
  object: z.literal("prompt").describe("What this is."),
  name: z.string().describe("For people."),
  version: z.int().positive().describe("The newest."),
  created_at: z.int().describe("Unix time in seconds."),
  changed_at: z.int().describe("When the newest version was made. Unix time in seconds."),
});

export const PromptList = z.object({
  object: z.literal("list").describe("What this is."),
  data: z.array(PromptEntry).describe("The prompts."),
  first_id: z.string().nullable().describe("Of the first of them."),
  last_id: z.string().nullable().describe("Of the last: `after` of the next page."),
  has_more: z.boolean().describe("Whether there are more."),
});

export const VersionList = z.object({
  object: z.literal("list").describe("What this is."),
  data: z
    .array(
      z.object({
        object: z.literal("prompt.version").describe("What this is."),
        version: z.int().positive().describe("Its number."),
        created_at: z.int().describe("Unix time in seconds."),
      }),
    )
    .describe("The newest first."),
});

export const DeletedPrompt = z.object({
  id: z.string().describe("Of the prompt."),
  object: z.literal("prompt").describe("What it was."),
  version: z.int().nullable().describe("What was deleted of it. Null: all."),
  deleted: z.literal(true).describe("No call can name it any more."),
});

/** @throws CodedError for a prompt that could not be used */
export function contentOf(request: z.infer<typeof VersionRequest>): PromptContent {
  const { messages, examples = [], model, response_format, parameters = {} } = request;
  const { variables = impliedVariables(messages) } = request;
  const prompt: Prompt = { messages, variables, examples };
  checkPrompt(prompt);
  const made = {
    ...prompt,
    ...(model !== undefined && { model }),
    ...(response_format !== undefined && { response_format }),
    parameters,
  };
  const bytes = utf8Bytes(JSON.stringify(made), promptLimits.versionBytesMax);
  if (bytes <= promptLimits.versionBytesMax) return made;
  throw new CodedError(
    "invalid_value",
    `The prompt has ${bytes} bytes of JSON; a version has ${promptLimits.versionBytesMax} at most. Shorten its ` +
      "messages and examples, and give long texts as variables.",
    { param: "messages" },
  );
}

export function showPrompt({ id, name, version, createdAt, content: kept, report }: StoredVersion) {
  const { messages, variables, examples, model = null, response_format, parameters } = kept;
  return {
    id,
    object: "prompt",
    name,
    version,
    created_at: seconds(createdAt),
    messages,
    variables,
    examples,
    model,
    response_format: response_format ?? null,
    parameters,
    evaluation: report,
  } satisfies PromptObject;
}

export function showEntry({ id, name, version, createdAt, changedAt }: PromptHead) {
  return {
    id,
    object: "prompt",
    name,
    version,
    created_at: seconds(createdAt),
    changed_at: seconds(changedAt),
  } satisfies z.infer<typeof PromptEntry>;
}

export function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1_000);
}
