/** The operations callers may use, each with the schemas its route parses. Internal routes are not published. */
import * as z from "zod";
import { huggingFaceTasks, publishedTasks, taskTable } from "#contract/task-table.ts";
import { type Task, tasks } from "#contract/tasks.ts";
import { requestId } from "../http/response-headers.ts";
import { EmbeddingsRequest } from "../routes/embeddings.ts";
import { huggingFaceRequestSchema } from "../routes/hugging-face.ts";
import { RerankRequest, TeiRerankRequest } from "../routes/rerank.ts";
import { taskRequestSchema } from "../routes/tasks.ts";
import { DetokenizeRequest, TokenizeRequest } from "../routes/tokens.ts";
import { aliasOperations } from "./alias-operations.ts";
import { askOperations } from "./ask-operations.ts";
import { augmentOperation, augmentOperations } from "./augment-operations.ts";
import { feedbackOperations } from "./feedback-operations.ts";
import { fileOperations } from "./file-operations.ts";
import { tuningOperations } from "./fine-tuning-operations.ts";
import { type Example, exampleOf, huggingFaceExample, nativeExample } from "./examples.ts";
import { generate, generationOperations, writtenOperations } from "./generation-operations.ts";
import { createResponse, modelResponseOperations } from "./model-response-operations.ts";
import type { Operation } from "./operation.ts";
import { evaluateOperation, promptOperations } from "./prompt-operations.ts";
import {
  DetokenizeResponse,
  EmbeddingsResponse,
  huggingFaceResponseSchema,
  JobEvent,
  jobEventExample,
  RerankResponse,
  taskResponseSchema,
  TeiRerankResponse,
  TokenizeResponse,
} from "./response-schemas.ts";

/** `text-classification` as `textClassification`. */
function camelCase(task: Task): string {
  return task.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

const longWork =
  "A call is held until its result is there, or answered 202 or 504 with the address of its job: see Prefer.";

type JobOperation = Pick<
  Operation,
  | "tag"
  | "summary"
  | "description"
  | "request"
  | "response"
  | "event"
  | "example"
  | "model"
  | "strict"
  | "header"
>;

function job(path: string, id: string, of: JobOperation): Operation {
  return {
    method: "post",
    path,
    id,
    ...of,
    description: `${of.description} ${longWork}`,
    errors: [400, 401, 404, 408, 413, 415, 429, 500, 504],
    headers: "job",
    job: true,
  };
}

const embedding = tasks["feature-extraction"].example;
const ranking = tasks.rerank.example;
const ranked = { query: ranking.input.query, texts: ranking.input.texts, return_text: true };

/** Each once: `runModel` refers to them all. */
const huggingFaceSchemas = huggingFaceTasks.map((task) => ({
  task,
  request: huggingFaceRequestSchema(task),
  response: huggingFaceResponseSchema(task),
}));

function cohereRerank(path: string, id: string, as: string): Operation {
  return job(path, id, {
    tag: "Rerank",
    summary: `Sort documents by relevance to a query, as ${as}`,
    description: "Long documents are cut, and x-warnings says so.",
    request: RerankRequest,
    response: RerankResponse,
    example: exampleOf(
      "rerank",
      { route: "cohere.rerank", topN: 1, id: requestId },
      {
        model: ranking.model,
        query: ranked.query,
        documents: ranked.texts,
        top_n: 1,
        return_documents: true,
      },
    ),
    strict: true,
  });
}

const jobOperations: readonly Operation[] = [
  ...generationOperations.map(({ path, id, ...of }) => job(path, id, of)),
  job("/v1/responses", "createResponse", createResponse),
  job("/v1/embeddings", "createEmbeddings", {
    tag: "Embeddings",
    summary: "Embed texts, as OpenAI does",
    description: "Gives a vector for each text. Clients of OpenAI's API work as they are.",
    request: EmbeddingsRequest,
    response: EmbeddingsResponse,
    example: exampleOf(
      "feature-extraction",
      { route: "openai.embeddings", encodingFormat: "float", single: true },
      { model: embedding.model, input: embedding.input },
    ),
    strict: true,
    header: "tokenIds",
  }),
  ...writtenOperations.map(({ path, id, ...of }) => job(path, id, of)),
  ...huggingFaceSchemas.map(({ task, request, response }) =>
    job(`/hf/models/{model}/pipeline/${task}`, camelCase(task), {
      tag: "Hugging Face",
      summary: `${taskTable[task].summary}, as Hugging Face does`,
      description: "Takes one input, or a list of them. Clients of Hugging Face work as they are.",
      request,
      response,
      example: huggingFaceExample(task),
      model: taskTable[task].example.model,
      strict: true,
    }),
  ),
  job("/hf/models/{model}", "runModel", {
    tag: "Hugging Face",
    summary: "Run a model on the task that the body's shape, then the model, implies",
    description:
      "Which task it is, the fields of the body tell; where they do not, it is the model's first. " +
      "Answers as the task's own route.",
    request: z.union([...huggingFaceSchemas.map(({ request }) => request), generate.request]),
    response: z.union([...huggingFaceSchemas.map(({ response }) => response), generate.response]),
    event: generate.event,
    example: { ...huggingFaceExample("sentence-similarity"), event: generate.example.event },
    strict: true,
  }),
  ...publishedTasks.map((task) =>
    job(`/v1/tasks/${task}`, `task-${task}`, {
      tag: "Tasks",
      summary: `${taskTable[task].summary}: a batch of inputs`,
      description:
        "Takes a list of inputs, and answers each in order; with stream, by the events of its job.",
      request: taskRequestSchema(task),
      response: taskResponseSchema(task),
      event: JobEvent,
      example: { ...nativeExample(task), event: jobEventExample },
    }),
  ),
  job(evaluateOperation.path, evaluateOperation.id, evaluateOperation),
  job(augmentOperation.path, augmentOperation.id, augmentOperation),
  cohereRerank("/v1/rerank", "createRerank", "Cohere and Jina do"),
  cohereRerank("/v2/rerank", "createRerankV2", "Cohere's newer clients ask for it"),
  job("/rerank", "createTeiRerank", {
    tag: "Rerank",
    summary: "Sort texts by relevance to a query, as text-embeddings-inference does",
    description: "Without a model the first one that ranks is used, and x-warnings names it.",
    request: TeiRerankRequest,
    response: TeiRerankResponse,
    example: exampleOf("rerank", { route: "tei.rerank", topN: null }, ranked),
  }),
  job("/v1/tokenize", "createTokens", {
    tag: "Tokens",
    summary: "Split a text, or several, into a model's tokens",
    description: "Every model does it. A token that is made costs a unit.",
    request: TokenizeRequest,
    response: TokenizeResponse,
    example: tokensExample("tokenize", "input"),
  }),
  job("/v1/detokenize", "createText", {
    tag: "Tokens",
    summary: "Put a model's tokens together to a text",
    description: "Every model does it. A token that is given costs a unit.",
    request: DetokenizeRequest,
    response: DetokenizeResponse,
    example: tokensExample("detokenize", "tokens"),
  }),
];

function tokensExample(task: Task, field: "input" | "tokens"): Example {
  const { model, input } = taskTable[task].example;
  return exampleOf(task, { route: "tokens", field, single: true }, { model, [field]: input });
}

export const operations: readonly Operation[] = [
  ...jobOperations,
  ...modelResponseOperations,
  ...fileOperations,
  ...tuningOperations,
  ...aliasOperations,
  ...augmentOperations,
  ...feedbackOperations,
  ...promptOperations,
  ...askOperations,
];
