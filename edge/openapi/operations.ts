/** The operations callers may use, each with the schemas its route parses. Internal routes are not published. */
import * as z from "zod";
import type { Task } from "#contract/tasks.ts";
import { TokenIdVocabulary } from "#contract/tasks/feature-extraction.ts";
import { EmbeddingsRequest } from "../routes/embeddings.ts";
import { huggingFaceRequestSchema } from "../routes/hugging-face.ts";
import { DeliveryList } from "../routes/job-deliveries.ts";
import { ModelList, ModelObject } from "../routes/models.ts";
import { RerankRequest, TeiRerankRequest } from "../routes/rerank.ts";
import { taskRequestSchema } from "../routes/tasks.ts";
import { DetokenizeRequest, TokenizeRequest } from "../routes/tokens.ts";
import { huggingFaceTasks, taskNames, taskTable } from "../task-table.ts";
import { tokenIdsHeader } from "../token-ids.ts";
import {
  DetokenizeResponse,
  EmbeddingsResponse,
  HealthResponse,
  huggingFaceResponseSchema,
  JobResponse,
  RerankResponse,
  taskResponseSchema,
  TeiRerankResponse,
  TokenizeResponse,
} from "./response-schemas.ts";

export type Operation = {
  method: "get" | "post" | "delete";
  /** `{name}` for what varies. */
  path: string;
  id: string;
  summary: string;
  request?: z.ZodType;
  /** Names of what is asked for in the query. */
  query?: readonly string[];
  /** What a header of this operation alone says, by its name. */
  headers?: Readonly<Record<string, { description: string; schema: z.ZodType }>>;
  response: z.ZodType;
  /** The job may be asked for asynchronously, and then 202 and 504 carry its address. */
  job?: true;
};

/** `text-classification` as `textClassification`. */
function camelCase(task: Task): string {
  return task.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function job(
  path: string,
  id: string,
  { summary, request, response }: Required<Pick<Operation, "summary" | "request" | "response">>,
): Operation {
  return { method: "post", path, id, summary, request, response, job: true };
}

const jobOperations: readonly Operation[] = [
  {
    ...job("/v1/embeddings", "createEmbeddings", {
      summary: "Embed texts, as OpenAI does",
      request: EmbeddingsRequest,
      response: EmbeddingsResponse,
    }),
    headers: {
      [tokenIdsHeader]: {
        description:
          "In whose vocabulary token ids are. either, the default: the model's own where they carry its special tokens at both ends, else cl100k_base.",
        schema: TokenIdVocabulary,
      },
    },
  },
  ...huggingFaceTasks.map((task) =>
    job(`/hf/models/{model}/pipeline/${task}`, camelCase(task), {
      summary: `${taskTable[task].summary}, as Hugging Face does`,
      request: huggingFaceRequestSchema(task),
      response: huggingFaceResponseSchema(task),
    }),
  ),
  job("/hf/models/{model}", "runModel", {
    summary: "Run a model on the task that the body's shape, then the model, implies",
    request: z.union(huggingFaceTasks.map(huggingFaceRequestSchema)),
    response: z.unknown().describe("As the task's own route answers."),
  }),
  ...taskNames.map((task) =>
    job(`/v1/tasks/${task}`, `task-${task}`, {
      summary: `${taskTable[task].summary}: a batch of inputs`,
      request: taskRequestSchema(task),
      response: taskResponseSchema(task),
    }),
  ),
  job("/v1/rerank", "createRerank", {
    summary: "Sort documents by relevance to a query, as Cohere and Jina do",
    request: RerankRequest,
    response: RerankResponse,
  }),
  job("/v2/rerank", "createRerankV2", {
    summary: "The same, where Cohere's newer clients look for it",
    request: RerankRequest,
    response: RerankResponse,
  }),
  job("/rerank", "createTeiRerank", {
    summary: "Sort texts by relevance to a query, as text-embeddings-inference does",
    request: TeiRerankRequest,
    response: TeiRerankResponse,
  }),
  job("/v1/tokenize", "createTokens", {
    summary: "Split a text, or several, into a model's tokens",
    request: TokenizeRequest,
    response: TokenizeResponse,
  }),
  job("/v1/detokenize", "createText", {
    summary: "Put a model's tokens together to a text",
    request: DetokenizeRequest,
    response: DetokenizeResponse,
  }),
];

export const operations: readonly Operation[] = [
  ...jobOperations,
  {
    method: "get",
    path: "/v1/models",
    id: "listModels",
    summary: "List models",
    response: ModelList,
  },
  {
    method: "get",
    path: "/v1/models/{model}",
    id: "getModel",
    summary: "Describe a model",
    response: ModelObject,
  },
  {
    method: "get",
    path: "/v1/jobs/{job}",
    id: "getJob",
    summary: "Ask for a job",
    response: JobResponse,
  },
  {
    method: "delete",
    path: "/v1/jobs/{job}",
    id: "deleteJob",
    summary: "Cancel a job: the same as POST to its /cancel",
    response: JobResponse,
  },
  {
    method: "post",
    path: "/v1/jobs/{job}/cancel",
    id: "cancelJob",
    summary: "Cancel a job",
    response: JobResponse,
  },
  {
    method: "get",
    path: "/v1/jobs/{job}/deliveries",
    id: "listDeliveries",
    summary: "What became of a job's webhooks",
    response: DeliveryList,
  },
  {
    method: "get",
    path: "/v1/jobs/{job}/output",
    id: "getJobOutput",
    summary: "The output of a job, by the output_url of a webhook, without a key",
    query: ["expires", "signature"],
    response: z.unknown().describe("Exactly the body of the synchronous call."),
  },
  {
    method: "get",
    path: "/healthz",
    id: "getHealth",
    summary: "Whether the edge answers",
    response: HealthResponse,
  },
];
