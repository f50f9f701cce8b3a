/**
 * POST /v1/tokenize and /v1/detokenize: texts to the token ids of a model, and back. Every model does both. No model
 * reads anything; they cost the tokens made, and the tokens given.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { limits } from "#contract/limits.ts";
import { tasks } from "#contract/tasks.ts";
import type { EdgeContext } from "../context.ts";
import { validate } from "../http/validation.ts";
import { type JobRequest, jobRequest } from "../tasks/job-request.ts";
import { ModelName } from "../tasks/model-name.ts";
import { serveJob } from "../tasks/serve-job.ts";
import { listOf, readList, readOneOrList, readParameters } from "../tasks/task-inputs.ts";
import { webhookFields } from "../webhooks/read-webhook.ts";

const model = ModelName;
const { tokenize, detokenize } = tasks;

const tokenizeFields = { model, ...tokenize.parameters.shape, ...webhookFields } as const;
const detokenizeFields = { model, ...detokenize.parameters.shape, ...webhookFields } as const;

/** As published. */
export const TokenizeRequest = z.strictObject({
  ...tokenizeFields,
  input: z.union([tokenize.input, listOf(tokenize.input)]).describe("A text, or a list of texts."),
});
export const DetokenizeRequest = z.strictObject({
  ...detokenizeFields,
  tokens: z
    .union([detokenize.input, listOf(detokenize.input)])
    .describe("The token ids of a text, or of several."),
});

const TokenizeBody = z.strictObject({ ...tokenizeFields, input: z.unknown().optional() });
const DetokenizeBody = z.strictObject({ ...detokenizeFields, tokens: z.unknown().optional() });

export function createTokens(c: EdgeContext): Promise<Response> {
  return serveJob(c, readTokenize);
}

export function createText(c: EdgeContext): Promise<Response> {
  return serveJob(c, readDetokenize);
}

async function readTokenize(c: EdgeContext, body: unknown): Promise<JobRequest> {
  const { model: name, input, ...rest } = validate(TokenizeBody, body);
  const { webhook, webhook_events_filter, webhook_secret, ...given } = rest;
  const { inputs, single } = readOneOrList(tokenize.input, input, "input");
  const call = {
    task: "tokenize",
    inputs,
    parameters: readParameters("tokenize", given, []),
  } as const;
  return jobRequest(c, call, {
    model: name,
    nameOf: (index) => (single ? "input" : `input[${index}]`),
    rendering: { route: "tokens", field: "input", single },
    webhook: { webhook, webhook_events_filter, webhook_secret },
  });
}

async function readDetokenize(c: EdgeContext, body: unknown): Promise<JobRequest> {
  const { model: name, tokens, ...rest } = validate(DetokenizeBody, body);
  const { webhook, webhook_events_filter, webhook_secret, ...given } = rest;
  const single = !(Array.isArray(tokens) && Array.isArray(tokens[0]));
  const inputs = single ? [readIds(tokens)] : readList(detokenize.input, tokens, "tokens");
  const parameters = readParameters("detokenize", given, []);
  return jobRequest(c, { task: "detokenize", inputs, parameters } as const, {
    model: name,
    nameOf: (index) => (single ? "tokens" : `tokens[${index}]`),
    rendering: { route: "tokens", field: "tokens", single },
    webhook: { webhook, webhook_events_filter, webhook_secret },
  });
}

/** Before any id is looked at: a body may hold millions. */
function readIds(tokens: unknown): number[] {
  const max = limits.tokensPerRequestMax;
  if (Array.isArray(tokens) && tokens.length > max) {
    throw new CodedError(
      "invalid_value",
      `tokens has ${tokens.length} token ids; the limit of one request is ${max}. Send them in several requests.`,
      { param: "tokens" },
    );
  }
  return validate(detokenize.input, tokens, ["tokens"]);
}
