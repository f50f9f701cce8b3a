/**
 * Summarization and translation as Hugging Face words them, of POST /hf/models/{id}[/pipeline/{task}]: of a prompt that
 * ships, by its id, or of any model that takes a conversation, which is given that prompt. Greedily, unless something
 * asks for chance.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { renderPrompt } from "#contract/prompts/prompt.ts";
import {
  inputVariable,
  type ReadyPrompt,
  readyPrompt,
  type WrittenTask,
} from "#contract/prompts/ready-prompts.ts";
import { generationLimits, generationParameters } from "#contract/tasks/generation.ts";
import { Text } from "#contract/tasks/fields.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { validate } from "../http/validation.ts";
import { fieldsOf } from "../tasks/fields-of.ts";
import { Options } from "../tasks/hugging-face-options.ts";
import { type JobRequest, jobRequest, noteUnused } from "../tasks/job-request.ts";
import { readOneOrList, readParameters } from "../tasks/task-inputs.ts";
import { webhookFields } from "../webhooks/read-webhook.ts";
import { isSampled } from "./hugging-face-generation.ts";

const { max_tokens, stop, seed, temperature, top_k, top_p } = generationParameters;
const { repetition_penalty, frequency_penalty } = generationParameters;
const notActedOn = "Accepted, and not acted on.";

/** As transformers calls them. */
const generate = {
  max_new_tokens: max_tokens,
  max_length: max_tokens.describe("The same as max_new_tokens, under its older name."),
  temperature,
  top_k,
  top_p,
  do_sample: z
    .boolean()
    .optional()
    .describe(
      "Leave something to chance. Default: only where temperature, top_k or top_p says so.",
    ),
  repetition_penalty,
  frequency_penalty,
  seed,
  stop,
} as const;

/** Of their schema; nothing is done with them. */
const unused = {
  min_length: z.int().nonnegative().optional().describe(notActedOn),
  min_new_tokens: z.int().nonnegative().optional().describe(notActedOn),
  num_beams: z.int().positive().optional().describe(notActedOn),
  early_stopping: z.union([z.boolean(), z.string()]).optional().describe(notActedOn),
  truncation: z
    .union([z.boolean(), z.string()])
    .optional()
    .describe("A text is never cut here. Accepted, and not acted on."),
  clean_up_tokenization_spaces: z.boolean().optional().describe(notActedOn),
} as const;

export const WrittenGenerateParameters = z
  .strictObject({ ...generate, ...unused })
  .describe("The same, beside which they may stand.");

const language = z.string().min(1).max(100).optional();

const fields = {
  ...generate,
  ...unused,
  generate_parameters: WrittenGenerateParameters.optional(),
};
const languages = {
  src_lang: language.describe(
    "Out of which language: its code, en or eng_Latn, or its name. Default: the model tells.",
  ),
  tgt_lang: language.describe("Into which language. A prompt of two languages needs none."),
} as const;

export const SummarizationParameters = z.strictObject(fields);
export const TranslationParameters = z.strictObject({ ...languages, ...fields });

const beside = { options: Options.optional(), ...webhookFields } as const;
const inputs = z
  .union([Text, z.array(Text).min(1).max(generationLimits.choicesPerRequestMax)])
  .describe("One text, or a list of them.");

/** As published. */
export const SummarizationRequest = z.strictObject({
  inputs,
  parameters: SummarizationParameters.optional().describe("How summaries are written."),
  ...beside,
});
export const TranslationRequest = z.strictObject({
  inputs,
  parameters: TranslationParameters.optional().describe("Languages, and how texts are written."),
  ...beside,
});

const bodies = {
  summarization: SummarizationRequest.extend({ inputs: z.unknown() }),
  translation: TranslationRequest.extend({ inputs: z.unknown() }),
} as const;
const answers = { summarization: "summary_text", translation: "translation_text" } as const;
const general = { summarization: "summarize", translation: "translate" } as const;

type Parameters = z.infer<typeof TranslationParameters>;

/** @param id of a model, or of a prompt that ships */
export async function readWritten(
  c: EdgeContext,
  { id, task }: { id: string; task: WrittenTask },
  value: unknown,
): Promise<JobRequest> {
  const body = validate(bodies[task], value);
  const { inputs: given, parameters = {}, options, ...webhook } = body;
  const named = readyPrompt(id);
  const prompt = named ?? readyPrompt(general[task]);
  if (prompt === undefined) throw new Error(`no prompt does ${task}`);
  const { inputs: texts, single } = readOneOrList(Text, given, "inputs");
  const variables = variablesOf(prompt, parameters);
  const call = {
    task: "chat-completion" as const,
    inputs: texts.map((text) => ({
      messages: renderPrompt(prompt, { ...variables, [inputVariable]: text }, "parameters"),
    })),
    parameters: parametersOf(prompt, parameters),
  };
  const { generate_parameters, ...others } = parameters;
  return jobRequest(c, call, {
    model: named === undefined ? id : settingsOf(c.env).promptModel,
    nameOf: (index) => (single ? "inputs" : `inputs[${index}]`),
    rendering: { route: "hugging-face.written", field: answers[task], single },
    webhook,
    warnings: noteUnused(c, {
      options,
      ...fieldsOf({ ...generate_parameters, ...others }, unused),
    }),
  });
}

/** @throws CodedError for a language that the prompt has no place for, or lacks */
function variablesOf(prompt: ReadyPrompt, { src_lang, tgt_lang }: Parameters) {
  const asked = { source_language: src_lang, target_language: tgt_lang };
  const { properties } = prompt.variables;
  const entries = Object.entries(asked).flatMap(([name, text]) =>
    text === undefined || !Object.hasOwn(properties, name) ? [] : [[name, languageOf(text)]],
  );
  if (Object.hasOwn(properties, "target_language") && tgt_lang === undefined) {
    throw new CodedError(
      "missing_required_parameter",
      "Missing required parameter: parameters.tgt_lang. Send the language to translate into, as fr or French; or " +
        "call a prompt of two languages, as translate-en-fr.",
      { param: "parameters.tgt_lang" },
    );
  }
  checkPair(prompt, { src_lang, tgt_lang });
  return Object.fromEntries(entries);
}

/** Of `translate-en-fr` those that are named must be its own. */
function checkPair(
  { id }: ReadyPrompt,
  named: { src_lang: string | undefined; tgt_lang: string | undefined },
) {
  const [, from, to] = /^translate-(\w+)-(\w+)$/.exec(id) ?? [];
  if (from === undefined || to === undefined) return;
  for (const [name, own] of [["src_lang", from] as const, ["tgt_lang", to] as const]) {
    const asked = named[name];
    if (asked === undefined || baseOf(languageOf(asked)) === baseOf(languageOf(own))) continue;
    throw new CodedError(
      "invalid_value",
      `parameters.${name} is ${JSON.stringify(asked)}, and ${id} translates from ${from} into ${to}. Leave it out, ` +
        "or call translate.",
      { param: `parameters.${name}` },
    );
  }
}

/** "Simplified Chinese" is Chinese. */
function baseOf(name: string): string {
  return (
    name
      .replace(/ \(.*\)$/, "")
      .split(" ")
      .at(-1) ?? name
  );
}

const names = new Intl.DisplayNames("en", { type: "language" });

/** The English name of a code: `fr`, `pt-BR`, NLLB's `fra_Latn`, mBART's `fr_XX`; a name stays as it is. */
function languageOf(text: string): string {
  const code = text.replace(/_XX$/, "").replaceAll("_", "-");
  if (!/^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/.test(code)) return text;
  try {
    return names.of(code)?.replace(/ \((Latin|Cyrillic|Arabic|Japanese|Korean)\)$/, "") ?? text;
  } catch {
    // No code after all.
    return text;
  }
}

function parametersOf(prompt: ReadyPrompt, { generate_parameters = {}, ...given }: Parameters) {
  const asked = { ...generate_parameters, ...given };
  const { max_new_tokens: newer, max_length: older, ...sampling } = asked;
  const own = {
    ...fieldsOf(sampling, generationParameters),
    max_tokens: newer ?? older ?? prompt.parameters.max_tokens,
    temperature: isSampled(asked) ? asked.temperature : 0,
  };
  return readParameters("chat-completion", own, ["parameters"]);
}
