/** POST /v1/completions: OpenAI's older API, of every model that goes on with a text. */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { limits } from "#contract/limits.ts";
import type { TaskInput } from "#contract/tasks.ts";
import { textGeneration } from "#contract/tasks/text-generation.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { validate } from "../http/validation.ts";
import { callOfTexts } from "../prompts/answer-texts.ts";
import { shippedModel } from "../prompts/shipped-model.ts";
import { completionIdentity } from "../tasks/completion-identity.ts";
import { Options } from "../tasks/hugging-face-options.ts";
import { type JobRequest, jobRequest, modelForTask, noteUnused } from "../tasks/job-request.ts";
import { AddressedModelName, ModelName } from "../tasks/model-name.ts";
import {
  checkStreamOptions,
  noteOwnIds,
  samplingFields,
  samplingParameters,
} from "../tasks/sampling.ts";
import { serveJob } from "../tasks/serve-job.ts";
import { type NamedStructure, readStructure, structureFields } from "../tasks/structured-output.ts";
import { readParameters } from "../tasks/task-inputs.ts";
import { holdsTokenIds, readTexts, TextForms } from "../tasks/text-inputs.ts";
import { refuseUnsupported, unsupported } from "../tasks/unsupported.ts";
import { webhookFields } from "../webhooks/read-webhook.ts";

/** OpenAI's limit of this route; chat's is higher. */
const topLogprobsMax = 5;

const unsupportedFields = {
  suffix: z.literal("").optional().describe("No model here writes before a text."),
} as const;

const fields = {
  ...samplingFields,
  max_tokens: textGeneration.parameters.shape.max_tokens,
  echo: textGeneration.parameters.shape.echo,
  logprobs: z
    .int()
    .min(0)
    .max(topLogprobsMax)
    .optional()
    .describe(
      "Each token's log probability is told, and those of so many alternatives. Absent: none.",
    ),
  best_of: z.int().positive().optional().describe("As many as n: all that is written is answered."),
  ...structureFields,
  ...unsupportedFields,
  ...webhookFields,
} as const;

const { text, texts, tokens, tokenLists } = TextForms;

/** As published; what is read of `prompt` is text-inputs.ts's. */
export const CompletionsRequest = z.strictObject({
  model: ModelName,
  prompt: z
    .union([text, texts, tokens, tokenLists])
    .describe("What is gone on with: texts, or token ids of the model's own."),
  ...fields,
});
/** Fields of TGI's body that Hugging Face's JavaScript client sends here beside OpenAI's. */
const ofTgi = {
  do_sample: z.boolean().optional().describe("false: always the likeliest token."),
  return_full_text: z.boolean().optional().describe("The same as echo."),
  details: z.boolean().optional().describe("Accepted, and not acted on."),
  options: Options.optional(),
} as const;
/** The address names the model. */
export const AddressedCompletionsRequest = CompletionsRequest.extend({
  model: AddressedModelName,
  ...ofTgi,
});

const Body = z.strictObject({ model: ModelName, prompt: z.unknown(), ...fields });
const AddressedBody = Body.extend({ model: AddressedModelName, ...ofTgi });
type AnyBody = z.infer<typeof AddressedBody>;

export function createCompletion(c: EdgeContext): Promise<Response> {
  return serveJob(c, readCompletion);
}

/** @param addressed the model of the call's address; null: the body names it */
export async function readCompletion(
  c: EdgeContext,
  value: unknown,
  addressed: string | null = null,
): Promise<JobRequest> {
  refuseUnsupported(unsupportedFields, value);
  const body: AnyBody = addressed === null ? validate(Body, value) : validate(AddressedBody, value);
  checkStreamOptions(body);
  checkBestOf(body);
  const given = readTexts(body.prompt, "prompt");
  const { inputs, single } = given;
  const nameOf = (index: number) => (single ? "prompt" : `prompt[${index}]`);
  checkLengths(inputs, nameOf);
  const name = addressed ?? body.model ?? "";
  const ready = await shippedModel(c, name);
  const { id: model } =
    ready === undefined
      ? await modelForTask(c, name, "text-generation")
      : await modelForTask(c, settingsOf(c.env).promptModel, "chat-completion");
  // Hugging Face's JavaScript client streams text by this address, and looks for tokens as TGI words them.
  const tgi = addressed !== null && body.stream === true;
  const structure = readStructure(body);
  const parameters = parametersOf(body, { tokenwise: tgi, structure });
  const { webhook, webhook_events_filter, webhook_secret, user, details, options } = body;
  const posed = {
    model,
    nameOf,
    rendering: {
      route: "openai.completions" as const,
      ...completionIdentity(c, "cmpl"),
      single,
      n: body.n ?? 1,
      includeUsage: body.stream_options?.include_usage === true,
      logprobs: body.logprobs !== undefined,
      tgi,
      ...(structure && { structureField: structure.field }),
    },
    stream: body.stream === true,
    warnings: [
      ...noteUnused(c, { user, details, options }),
      ...noteOwnIds(model, body, holdsTokenIds(given)),
    ],
    webhook: { webhook, webhook_events_filter, webhook_secret },
  };
  if (ready !== undefined) {
    const names = { texts: "prompt", echo: "echo" };
    return jobRequest(c, callOfTexts(ready, inputs, parameters, names), posed);
  }
  const call = {
    task: "text-generation" as const,
    inputs,
    parameters: readParameters("text-generation", parameters, []),
  };
  return jobRequest(c, call, posed);
}

type Told = { tokenwise: boolean; structure: NamedStructure | null };

/** `tokenwise`: each token is told by itself. */
function parametersOf(body: AnyBody, { tokenwise, structure }: Told) {
  const { logprobs, echo, return_full_text: whole, do_sample: sampled } = body;
  return {
    ...samplingParameters(sampled === false ? { ...body, temperature: 0 } : body),
    structure: structure?.structure,
    // Left out rather than false: the same computation has the same key.
    echo: echo === true || whole === true ? true : undefined,
    top_logprobs: logprobs ?? (tokenwise ? 0 : undefined),
  };
}

function checkBestOf({ best_of: best, n = 1 }: Pick<AnyBody, "best_of" | "n">): void {
  if (best === undefined || best === n) return;
  if (best > n) throw unsupported(["best_of"], "Ask for as many with n, and choose among them.");
  throw new CodedError(
    "invalid_value",
    `best_of is ${best} and n ${n}: no more can be answered than are written. Leave best_of out.`,
    { param: "best_of" },
  );
}

/** What a message to a worker can hold of one prompt. */
function checkLengths(
  inputs: readonly TaskInput<"text-generation">[],
  nameOf: (index: number) => string,
): void {
  const max = limits.tokensPerRequestMax;
  const index = inputs.findIndex((input) => typeof input !== "string" && input.length > max);
  if (index === -1) return;
  const field = nameOf(index);
  throw new CodedError(
    "context_length_exceeded",
    `${field} has ${inputs[index]?.length} token ids; the limit of one request is ${max}. Send fewer.`,
    { param: field },
  );
}
