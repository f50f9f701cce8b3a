/** The operations callers may use, each with the schemas its route parses. Internal routes are not published. */
import type * as z from "zod";
import { EmbeddingsRequest } from "../routes/embeddings.ts";
import { FeatureExtractionRequest, SentenceSimilarityRequest } from "../routes/hugging-face.ts";
import { ModelList, ModelObject } from "../routes/models.ts";
import { TaskRequests } from "../routes/tasks.ts";
import {
  EmbeddingsResponse,
  FeatureExtractionResponse,
  HealthResponse,
  JobResponse,
  SentenceSimilarityResponse,
  TaskResponse,
} from "./response-schemas.ts";

export type Operation = {
  method: "get" | "post";
  /** `{name}` for what varies. */
  path: string;
  id: string;
  summary: string;
  request?: z.ZodType;
  response: z.ZodType;
  /** The job may be asked for asynchronously, and then 202 and 504 carry its address. */
  job?: true;
};

const huggingFace = "/hf/models/{model}/pipeline";

export const operations: readonly Operation[] = [
  {
    method: "post",
    path: "/v1/embeddings",
    id: "createEmbeddings",
    summary: "Embed texts, as OpenAI does",
    request: EmbeddingsRequest,
    response: EmbeddingsResponse,
    job: true,
  },
  {
    method: "post",
    path: `${huggingFace}/feature-extraction`,
    id: "featureExtraction",
    summary: "Embed texts, as Hugging Face does",
    request: FeatureExtractionRequest,
    response: FeatureExtractionResponse,
    job: true,
  },
  {
    method: "post",
    path: `${huggingFace}/sentence-similarity`,
    id: "sentenceSimilarity",
    summary: "Compare one sentence with others",
    request: SentenceSimilarityRequest,
    response: SentenceSimilarityResponse,
    job: true,
  },
  {
    method: "post",
    path: "/hf/models/{model}",
    id: "runModel",
    summary: "Run a model on the task that the body's shape, then the model, implies",
    request: FeatureExtractionRequest.or(SentenceSimilarityRequest),
    response: FeatureExtractionResponse.or(SentenceSimilarityResponse),
    job: true,
  },
  ...Object.entries(TaskRequests).map(([task, request]): Operation => ({
    method: "post",
    path: `/v1/tasks/${task}`,
    id: `task-${task}`,
    summary: `Run ${task} on a batch of inputs`,
    request,
    response: TaskResponse,
    job: true,
  })),
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
    method: "post",
    path: "/v1/jobs/{job}/cancel",
    id: "cancelJob",
    summary: "Cancel a job",
    response: JobResponse,
  },
  {
    method: "get",
    path: "/healthz",
    id: "getHealth",
    summary: "Whether the edge answers",
    response: HealthResponse,
  },
];
