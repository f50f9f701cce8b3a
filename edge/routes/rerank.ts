/**
 * POST /v1/rerank, as Cohere and Jina word it (/v2/rerank is the same: Cohere's newer clients call that), and POST
 * /rerank, as Hugging Face's text-embeddings-inference does: documents by how well they answer a query. Both are the
 * task `rerank` with one input. How many are shown (`top_n`) is no part of what is computed.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { limits } from "#contract/limits.ts";
import { type TaskInput, tasks } from "#contract/tasks.ts";
import type { EdgeContext } from "../context.ts";
import { validate } from "../http/validation.ts";
import { knownModels } from "../registry/known-models.ts";
import {
  type JobRequest,
  type TaskCall,
  jobRequest,
  modelForTask,
  noteUnused,
} from "../tasks/job-request.ts";
import { ModelName } from "../tasks/model-name.ts";
import { serveJob } from "../tasks/serve-job.ts";
import { readList, readParameters } from "../tasks/task-inputs.ts";
import { webhookFields } from "../webhooks/read-webhook.ts";

const { query, texts } = tasks.rerank.input.shape;
const { raw_scores, return_text, truncate, truncation_direction, max_tokens_per_doc } =
  tasks.rerank.parameters.shape;
const model = ModelName;
const text = texts.element;
const documentObject = z.strictObject({ text: text.describe("The document.") });
const top_n = z
  .int()
  .positive()
  .optional()
  .describe("How many are shown, the best first. Default: all.");

/** Where Cohere's callers name none; text past it is not read. */
const tokensPerDocumentDefault = 4_096;

const notActedOn = "Accepted, and not acted on.";
/** Of Cohere's and Jina's schemas; nothing is done with them. */
const unused = {
  max_chunks_per_doc: z.int().positive().optional().describe(notActedOn),
  rank_fields: z.array(z.string()).max(100).optional().describe(notActedOn),
  priority: z.int().optional().describe(notActedOn),
  user: z.string().optional().describe(notActedOn),
} as const;

const cohereFields = {
  model,
  query,
  top_n,
  return_documents: z.boolean().optional().describe("Repeat each document in the answer."),
  truncate: truncate.describe("Cut documents that are too long, as Cohere does. Default: true."),
  truncation_direction,
  max_tokens_per_doc,
  ...unused,
  ...webhookFields,
} as const;

/** As published. */
export const RerankRequest = z.strictObject({
  ...cohereFields,
  documents: z
    .array(z.union([text, documentObject]))
    .min(1)
    .max(limits.inputsMax)
    .describe("The documents: all texts, or all objects that hold one."),
});
const RerankBody = z.strictObject({ ...cohereFields, documents: z.unknown().optional() });

/** TEI's own spelling begins with a capital letter. */
const anyCaseDirection = z
  .enum(["left", "right", "Left", "Right"])
  .transform((direction) => (direction.toLowerCase() === "left" ? "left" : "right"))
  .optional()
  .describe("The end from which a text that is too long is cut. Default: right.");

const teiFields = {
  query,
  raw_scores,
  return_text,
  truncate,
  truncation_direction: anyCaseDirection,
  /** Not of TEI, but litellm's client of it sends it. */
  top_n,
  /** Not of TEI, which has one model. */
  model: model.optional().describe("Default: the first model that ranks."),
  ...webhookFields,
} as const;

/** As published. */
export const TeiRerankRequest = z.strictObject({ ...teiFields, texts });
const TeiRerankBody = z.strictObject({ ...teiFields, texts: z.unknown().optional() });

export function createRerank(c: EdgeContext): Promise<Response> {
  return serveJob(c, readRerank);
}

export function createTeiRerank(c: EdgeContext): Promise<Response> {
  return serveJob(c, readTeiRerank);
}

async function readRerank(c: EdgeContext, body: unknown): Promise<JobRequest> {
  const fields = validate(RerankBody, body);
  const { webhook, webhook_events_filter, webhook_secret } = fields;
  const { max_chunks_per_doc, rank_fields, priority, user } = fields;
  const { limits: own } = await modelForTask(c, fields.model, "rerank");
  // Where the model reads no more in any case, it is left out: the same computation has the same key.
  const reachesDefault = (own?.maxTokens ?? Infinity) > tokensPerDocumentDefault;
  const input = { query: fields.query, texts: readDocuments(fields.documents) };
  const parameters = {
    // Left out rather than false: the same computation has the same key.
    return_text: fields.return_documents === true ? true : undefined,
    truncate: fields.truncate ?? true,
    truncation_direction: fields.truncation_direction,
    max_tokens_per_doc:
      fields.max_tokens_per_doc ?? (reachesDefault ? tokensPerDocumentDefault : undefined),
  };
  return jobRequest(c, rerankCall(input, parameters), {
    model: fields.model,
    nameOf: () => "documents",
    // One id for each call that is computed or shown anew; an answer that is kept whole keeps its id.
    rendering: { route: "cohere.rerank", topN: fields.top_n ?? null, id: c.get("requestId") },
    warnings: noteUnused(c, {
      max_chunks_per_doc,
      rank_fields,
      priority,
      user,
    }),
    webhook: { webhook, webhook_events_filter, webhook_secret },
  });
}

/** Texts, or objects that hold one, each told by itself, so that what is wrong is said of the form that was meant. */
function readDocuments(value: unknown): string[] {
  return readList(z.unknown(), value, "documents").map((document, index) => {
    const at = ["documents", index];
    const isObject = typeof document === "object" && document !== null;
    return isObject ? validate(documentObject, document, at).text : validate(text, document, at);
  });
}

async function readTeiRerank(c: EdgeContext, body: unknown): Promise<JobRequest> {
  const {
    query: asked,
    texts: given,
    model: named,
    top_n: topN,
    ...rest
  } = validate(TeiRerankBody, body);
  const { webhook, webhook_events_filter, webhook_secret, ...parameters } = rest;
  const input = { query: asked, texts: readList(text, given, "texts") };
  const used = named ?? (await defaultRanker(c));
  return jobRequest(c, rerankCall(input, parameters), {
    model: used,
    nameOf: () => "texts",
    rendering: { route: "tei.rerank", topN: topN ?? null },
    warnings: named === undefined ? [`model: none was named, so ${used} ranked`] : [],
    webhook: { webhook, webhook_events_filter, webhook_secret },
  });
}

function rerankCall(input: TaskInput<"rerank">, parameters: unknown): TaskCall<"rerank"> {
  return { task: "rerank", inputs: [input], parameters: readParameters("rerank", parameters, []) };
}

/** The first in the list that ranks; one whose files a worker has seen goes before one that has to be fetched. */
async function defaultRanker(c: EdgeContext): Promise<string> {
  const { list } = await knownModels(c);
  const rankers = list.filter(({ tasks: each }) => each.includes("rerank"));
  const ready = rankers.find(({ status, digests }) => status === "available" && digests.length > 0);
  const found = ready ?? rankers[0];
  if (found !== undefined) return found.id;
  throw new CodedError(
    "model_not_found",
    "No model here ranks texts. GET /v1/models tells what they do.",
    {
      param: "model",
    },
  );
}
