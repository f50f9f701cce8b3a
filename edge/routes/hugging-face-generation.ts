/**
 * Text generation as TGI words it, of POST /hf/models/{id}[/pipeline/text-generation]: one text, gone on with greedily
 * unless something asks for chance.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { readyPrompt } from "#contract/prompts/ready-prompts.ts";
import { generationParameters } from "#contract/tasks/generation.ts";
import { Text } from "#contract/tasks/fields.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { validate } from "../http/validation.ts";
import { callOfTexts } from "../prompts/answer-texts.ts";
import { fieldsOf } from "../tasks/fields-of.ts";
import { type JobRequest, jobRequest, noteUnused } from "../tasks/job-request.ts";
import { Options } from "../tasks/hugging-face-options.ts";
import { readParameters } from "../tasks/task-inputs.ts";
import { refuseUnsupported } from "../tasks/unsupported.ts";
import { webhookFields } from "../webhooks/read-webhook.ts";

const { max_tokens, stop, seed, temperature, top_k, top_p, top_logprobs } = generationParameters;
const { repetition_penalty, frequency_penalty } = generationParameters;

const unsupported = {
  typical_p: z.literal(1).optional().describe("Tokens are not chosen so here; 1 asks for nothing."),
  truncate: z.null().optional().describe("A prompt is never cut here."),
  watermark: z.literal(false).optional().describe("Nothing is marked here."),
  best_of: z.literal(1).optional().describe("One text is written."),
  decoder_input_details: z.literal(false).optional().describe("Nothing is told of the prompt."),
  grammar: z.null().optional().describe("Text is free here."),
  adapter_id: z.null().optional().describe("No model here has adapters."),
} as const;

export const GenerateParameters = z.strictObject({
  max_new_tokens: max_tokens,
  temperature,
  top_k,
  top_p,
  repetition_penalty,
  frequency_penalty,
  seed,
  do_sample: z
    .boolean()
    .optional()
    .describe(
      "Leave something to chance. Default: only where temperature, top_k or top_p says so.",
    ),
  stop,
  stop_sequences: stop.describe("The same as stop, under its older name."),
  return_full_text: z.boolean().optional().describe("The text begins with the prompt."),
  details: z.boolean().optional().describe("Tokens, and why it ended, are told."),
  top_n_tokens: top_logprobs.describe(
    "How many of the likeliest tokens at each place are told. Only with details.",
  ),
  ...unsupported,
});
type Generate = z.infer<typeof GenerateParameters>;

/** As published, and as it is read. */
export const GenerateRequest = z.strictObject({
  inputs: Text,
  parameters: GenerateParameters.optional().describe("How the text is written."),
  stream: z
    .boolean()
    .optional()
    .describe("The answer comes token by token, as server-sent events. Default: false."),
  options: Options.optional(),
  ...webhookFields,
});

export async function readGenerate(
  c: EdgeContext,
  id: string,
  value: unknown,
): Promise<JobRequest> {
  if (typeof value === "object" && value !== null && "parameters" in value) {
    refuseUnsupported(unsupported, value.parameters, ["parameters"]);
  }
  const body = validate(GenerateRequest, value);
  const { inputs, parameters: given = {}, options, stream = false, ...webhook } = body;
  checkTold(given, stream);
  const details = given.details === true;
  const parameters = parametersOf(given, details || stream);
  const posed = {
    nameOf: () => "inputs",
    rendering: {
      route: "hugging-face.text-generation",
      details,
      topTokens: given.top_n_tokens !== undefined,
      seed: given.seed ?? null,
    },
    stream,
    webhook,
    warnings: noteUnused(c, { options }),
  } as const;
  const ready = readyPrompt(id);
  if (ready !== undefined) {
    const names = { texts: "inputs", echo: "parameters.return_full_text" };
    const call = callOfTexts(ready, [inputs], parameters, names);
    return jobRequest(c, call, { model: settingsOf(c.env).promptModel, ...posed });
  }
  const call = {
    task: "text-generation" as const,
    inputs: [inputs],
    parameters: readParameters("text-generation", parameters, []),
  };
  return jobRequest(c, call, { model: id, ...posed });
}

/** @param told tokens are told one by one */
function parametersOf(given: Generate, told: boolean) {
  const { max_new_tokens: tokens, return_full_text: whole, top_n_tokens: top } = given;
  return {
    ...fieldsOf(given, generationParameters),
    max_tokens: tokens,
    temperature: isSampled(given) ? given.temperature : 0,
    stop: stopsOf(given),
    // Left out rather than false: the same computation has the same key.
    echo: whole === true ? true : undefined,
    top_logprobs: told ? (top ?? 0) : undefined,
  };
}

/** As TGI: any of these means that the likeliest token is not always wanted. */
export function isSampled({
  do_sample,
  temperature: heat,
  top_k: best,
  top_p: mass,
}: Pick<Generate, "do_sample" | "temperature" | "top_k" | "top_p">): boolean {
  return do_sample === true || [heat, best, mass].some((value) => value !== undefined);
}

function stopsOf({ stop: newer, stop_sequences: older }: Generate) {
  const stops = [...new Set([...(newer ?? []), ...(older ?? [])])];
  return stops.length === 0 ? undefined : stops;
}

/** @throws CodedError where more is to be told than the answer has a place for */
function checkTold(
  { details, top_n_tokens: top, return_full_text: whole }: Generate,
  stream: boolean,
): void {
  if (top !== undefined && details !== true && !stream) {
    throw new CodedError(
      "invalid_value",
      "parameters.top_n_tokens is told among the details. Set details to true, or leave it out.",
      { param: "parameters.top_n_tokens" },
    );
  }
  if (whole === true && stream) {
    throw new CodedError(
      "unsupported_parameter",
      "parameters.return_full_text is not possible with stream: what is new is sent. Leave one of them out.",
      { param: "parameters.return_full_text" },
    );
  }
}
