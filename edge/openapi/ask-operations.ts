/** The operations that have no model run: models, jobs, health. */
import type * as z from "zod";
import { DeliveryList } from "../routes/job-deliveries.ts";
import { DeletedModel, ModelList, ModelObject } from "../routes/models.ts";
import { jobExample, unfinishedJobExample } from "./examples.ts";
import type { Operation } from "./operation.ts";
import {
  HealthResponse,
  JobEvent,
  jobEventExample,
  JobResponse,
  OutputResponse,
} from "./response-schemas.ts";

const tunedModel = "ft:all-MiniLM-L6-v2:mine:5f0c8a0e7b1d4c2f9a3e6d8b7c5a4f21";

const modelExample: z.infer<typeof ModelObject> = {
  id: "all-MiniLM-L6-v2",
  object: "model",
  created: 1_764_336_000,
  owned_by: "sentence-transformers",
  task: "feature-extraction",
  tasks: ["feature-extraction", "sentence-similarity", "rerank"],
  aliases: ["sentence-transformers/all-MiniLM-L6-v2"],
  status: "available",
  progress: null,
  reason: null,
  loaded: true,
  size_bytes: 22_713_216,
  limits: { max_tokens: 256, dimensions: 384, vocabulary_size: 30_522 },
  licence: "apache-2.0",
};

const deliveriesExample: z.infer<typeof DeliveryList> = {
  object: "list",
  data: [
    {
      id: "msg_5f0c8a0e7b1d4c2f9a3e6d8b7c5a4f21",
      object: "webhook.delivery",
      event: "job.completed",
      url: "https://receiver.example.com/hook",
      status: "delivered",
      tries: 1,
      created_at: 1_764_336_002,
      next_try_at: null,
      attempts: [{ at: 1_764_336_002, status: 200, error: null }],
    },
  ],
};

function cancelling(method: "post" | "delete", path: string, id: string): Operation {
  return {
    method,
    path,
    id,
    tag: "Jobs",
    summary: "Cancel a job",
    description: "A job that has ended stays as it is. DELETE and POST do the same.",
    response: JobResponse,
    example: { response: unfinishedJobExample("canceled") },
    errors: [401, 404, 429, 500],
    headers: "result",
  };
}

export const askOperations: readonly Operation[] = [
  {
    method: "get",
    path: "/v1/models",
    id: "listModels",
    tag: "Models",
    summary: "List models",
    description:
      "Every model that can be called, with what it does and what it takes; those that the key has tuned come last.",
    response: ModelList,
    example: { response: { object: "list", data: [modelExample] } },
    errors: [401, 429, 500],
    headers: "any",
  },
  {
    method: "get",
    path: "/v1/models/{model}",
    id: "getModel",
    tag: "Models",
    summary: "Describe a model",
    description: "One model, by its id or any of its aliases.",
    response: ModelObject,
    example: { response: modelExample },
    errors: [401, 404, 429, 500],
    headers: "any",
  },
  {
    method: "delete",
    path: "/v1/models/{model}",
    id: "deleteModel",
    tag: "Models",
    summary: "Delete a tuned model",
    description: "One that the key has tuned. It answers no more, and its files are deleted.",
    response: DeletedModel,
    model: tunedModel,
    example: { response: { id: tunedModel, object: "model", deleted: true } },
    errors: [401, 403, 404, 429, 500],
    headers: "any",
  },
  {
    method: "get",
    path: "/v1/jobs/{job}",
    id: "getJob",
    tag: "Jobs",
    summary: "Ask for a job",
    description: "How a job stands, and its output once it succeeded. Only who made it can see it.",
    response: JobResponse,
    example: { response: jobExample() },
    errors: [401, 404, 429, 500],
    headers: "result",
  },
  {
    method: "get",
    path: "/v1/jobs/{job}/events",
    id: "readJobEvents",
    tag: "Jobs",
    summary: "What happens to a job, as it happens",
    description:
      "Server-sent events from the first, or from the one after Last-Event-ID: start, progress, output, then " +
      "completed or error. Kept for ten minutes after the end, and told again from the result as long as that is kept.",
    header: "lastEventId",
    event: JobEvent,
    example: { event: jobEventExample },
    errors: [400, 401, 404, 429, 500],
    headers: "result",
  },
  cancelling("post", "/v1/jobs/{job}/cancel", "cancelJob"),
  cancelling("delete", "/v1/jobs/{job}", "deleteJob"),
  {
    method: "get",
    path: "/v1/jobs/{job}/deliveries",
    id: "listDeliveries",
    tag: "Jobs",
    summary: "What became of a job's webhooks",
    description: "Each event that was to be told of, with what its tries met.",
    response: DeliveryList,
    example: { response: deliveriesExample },
    errors: [401, 404, 429, 500],
    headers: "any",
  },
  {
    method: "get",
    path: "/v1/jobs/{job}/output",
    id: "getJobOutput",
    tag: "Jobs",
    summary: "The output of a job, by the output_url of a webhook, without a key",
    description: "The link is the permission: use it unchanged. It is good for a day.",
    query: {
      expires: { description: "As the link has it.", example: "1764422402" },
      signature: { description: "As the link has it.", example: "0".repeat(64) },
    },
    response: OutputResponse,
    example: { response: (jobExample() as { output: unknown }).output },
    errors: [403, 404, 500],
    headers: "result",
    open: true,
  },
  {
    method: "get",
    path: "/healthz",
    id: "getHealth",
    tag: "Health",
    summary: "Whether the edge answers",
    description: "Whether workers run is what the list of models says.",
    response: HealthResponse,
    example: { response: { status: "ok" } },
    errors: [],
    headers: "any",
    open: true,
  },
];
