/** POST /v1/embeddings: OpenAI's embeddings, of every model that makes sentence vectors. */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { tasks } from "#contract/tasks.ts";
import type { EdgeContext } from "../context.ts";
import { validate } from "../http/validation.ts";
import type { ModelListing } from "../registry/merge-models.ts";
import { type JobRequest, jobRequest, modelForTask, noteUnused } from "../tasks/job-request.ts";
import { ModelName } from "../tasks/model-name.ts";
import { serveJob } from "../tasks/serve-job.ts";
import { readParameters } from "../tasks/task-inputs.ts";
import { holdsTokenIds, readTexts, TextForms } from "../tasks/text-inputs.ts";
import { tokenIdsHeader, vocabularyOf } from "../tasks/token-ids.ts";
import { webhookFields } from "../webhooks/read-webhook.ts";

const { text, texts, tokens, tokenLists } = TextForms;
const { prompt_name, truncate } = tasks["feature-extraction"].parameters.shape;

const fields = {
  encoding_format: z
    .enum(["float", "base64"])
    .optional()
    .describe("How vectors are written: numbers, or base64 of little-endian f32. Default: float."),
  dimensions: z
    .int()
    .positive()
    .optional()
    .describe("Length of a vector. Only the model's own can be asked for."),
  /** Not of OpenAI: of the model's own prompts, which embedding models call so. */
  prompt_name,
  /** Nor is this: texts that are too long are cut instead of refused. */
  truncate,
  user: z.string().optional().describe("Accepted, and not acted on."),
  ...webhookFields,
} as const;

/** As published; what is read of `input` is text-inputs.ts's, which says better what is wrong. */
export const EmbeddingsRequest = z.strictObject({
  model: ModelName,
  input: z.union([text, texts, tokens, tokenLists]).describe("What is embedded."),
  ...fields,
});
const Body = z.strictObject({ model: ModelName, input: z.unknown(), ...fields });

export function createEmbeddings(c: EdgeContext): Promise<Response> {
  return serveJob(c, readEmbeddings);
}

async function readEmbeddings(c: EdgeContext, value: unknown): Promise<JobRequest> {
  const {
    input,
    model: name,
    encoding_format,
    dimensions,
    prompt_name: prompt,
    truncate: cut,
    user,
    ...webhook
  } = validate(Body, value);
  const given = readTexts(input, "input");
  const model = await modelForTask(c, name, "feature-extraction");
  checkDimensions(dimensions, model);
  const { inputs, single } = given;
  const vocabulary = vocabularyOf(c.req.header(tokenIdsHeader));
  // What is not given, or says nothing, is no part of the JSON: the same computation has the same key.
  const asked = {
    prompt_name: prompt,
    truncate: cut,
    token_ids: holdsTokenIds(given) ? vocabulary : undefined,
  };
  const parameters = readParameters("feature-extraction", asked, []);
  const call = { task: "feature-extraction", inputs, parameters } as const;
  return jobRequest(c, call, {
    model: model.id,
    nameOf: (index) => (single ? "input" : `input[${index}]`),
    rendering: { route: "openai.embeddings", encodingFormat: encoding_format ?? "float", single },
    warnings: noteUnused(c, { user }),
    webhook,
  });
}

function checkDimensions(dimensions: number | undefined, model: ModelListing): void {
  const own = model.limits?.dimensions ?? null;
  if (dimensions === undefined || dimensions === own) return;
  throw new CodedError(
    "invalid_value",
    own === null
      ? `dimensions is ${dimensions}, and ${model.id} has not told its own yet. Leave dimensions out.`
      : `dimensions is ${dimensions}, and vectors of ${model.id} have ${own}, which cannot be changed. ` +
          `Leave it out or send ${own}.`,
    { param: "dimensions" },
  );
}
