/** The operations on prompts. */
import { tasks } from "#contract/tasks.ts";
import type { WatchedEvaluation } from "../prompts/stored-prompt.ts";
import {
  EvaluateRequest,
  PromptEvaluationList,
  PromptQuote,
} from "../routes/prompt-evaluations.ts";
import {
  DeletedPrompt,
  PromptList,
  PromptObject,
  PromptRequest,
  VersionList,
  VersionRequest,
} from "../routes/prompt-request.ts";
import { jobId } from "./examples.ts";
import type { Operation } from "./operation.ts";

export const promptId = "prompt_5f0c8a0e7b1d4c2f9a3e6d8b7c5a4f21";
const tag = "Prompts";
const headers = "any";
const path = "/v1/prompts";
const one = `${path}/{prompt}`;
const name = "Mood of a review";
const created_at = 1_764_336_000;

const { model, input, parameters } = tasks["prompt-evaluation"].example;
const { messages, variables } = input.prompt;
const examples = [{ variables: { text: "So so." }, output: "bad" }];
const content = { messages, examples, model, parameters: { max_tokens: 8 } };

const shown = {
  id: promptId,
  object: "prompt",
  name,
  version: 1,
  created_at,
  messages,
  variables,
  examples,
  model,
  response_format: null,
  parameters: { max_tokens: 8 },
  evaluation: null,
} as const;

const evaluation = {
  object: "prompt.evaluation",
  job: jobId,
  version: 1,
  created_at,
  status: "stored" satisfies WatchedEvaluation["state"],
  stored_version: 2,
} as const;

const reading = [400, 401, 403, 404, 429, 500] as const;
const writing = [400, 401, 403, 408, 413, 415, 429, 500] as const;

export const promptOperations: readonly Operation[] = [
  {
    method: "post",
    path,
    id: "createPrompt",
    tag,
    summary: "Store a prompt",
    description: "Messages with variables, examples, and how it is answered. A key's own.",
    request: PromptRequest,
    response: PromptObject,
    example: { request: { name, ...content }, response: shown },
    errors: writing,
    headers,
  },
  {
    method: "get",
    path,
    id: "listPrompts",
    tag,
    summary: "List prompts",
    description: "Those of the key, the newest first; with ready=true those of the platform.",
    query: {
      limit: { description: "How many at most. Default: 20.", example: "20", optional: true },
      order: { description: "asc or desc, by when they came.", example: "desc", optional: true },
      after: { description: "The last_id of the page before.", example: promptId, optional: true },
      ready: { description: "true: those that anybody may use.", example: "false", optional: true },
    },
    response: PromptList,
    example: {
      response: {
        object: "list",
        data: [
          { id: promptId, object: "prompt", name, version: 1, created_at, changed_at: created_at },
        ],
        first_id: promptId,
        last_id: promptId,
        has_more: false,
      },
    },
    errors: [400, 401, 403, 429, 500],
    headers,
  },
  {
    method: "get",
    path: one,
    id: "getPrompt",
    tag,
    summary: "Read a prompt",
    description:
      "Its newest version, or the one that the query names. Those of the platform by their ids.",
    query: { version: { description: "Which one.", example: "1", optional: true } },
    response: PromptObject,
    example: { response: shown },
    errors: reading,
    headers,
  },
  {
    method: "delete",
    path: one,
    id: "deletePrompt",
    tag,
    summary: "Delete a prompt",
    description: "With all its versions.",
    response: DeletedPrompt,
    example: { response: { id: promptId, object: "prompt", version: null, deleted: true } },
    errors: [401, 403, 404, 429, 500],
    headers,
  },
  {
    method: "post",
    path: `${one}/versions`,
    id: "createPromptVersion",
    tag,
    summary: "Store a new version of a prompt",
    description: "Whole: what it leaves out it has not. From then on it is the newest.",
    request: VersionRequest,
    response: PromptObject,
    example: { request: content, response: { ...shown, version: 2 } },
    errors: [...writing, 404],
    headers,
  },
  {
    method: "get",
    path: `${one}/versions`,
    id: "listPromptVersions",
    tag,
    summary: "List the versions of a prompt",
    description: "The newest first. A number is never given twice.",
    response: VersionList,
    example: {
      response: { object: "list", data: [{ object: "prompt.version", version: 1, created_at }] },
    },
    errors: [401, 403, 404, 429, 500],
    headers,
  },
  {
    method: "get",
    path: `${one}/versions/{version}`,
    id: "getPromptVersion",
    tag,
    summary: "Read a version of a prompt",
    description: "It never changes.",
    response: PromptObject,
    example: { response: shown },
    errors: [401, 403, 404, 429, 500],
    headers,
  },
  {
    method: "delete",
    path: `${one}/versions/{version}`,
    id: "deletePromptVersion",
    tag,
    summary: "Delete a version of a prompt",
    description: "Of the newest, the one before it is the newest again. The only one stays.",
    response: DeletedPrompt,
    example: { response: { id: promptId, object: "prompt", version: 2, deleted: true } },
    errors: reading,
    headers,
  },
  {
    method: "get",
    path: `${one}/evaluations`,
    id: "listPromptEvaluations",
    tag,
    summary: "What became of a prompt's optimisations",
    description: "Which of them stored a version, and which found nothing better.",
    response: PromptEvaluationList,
    example: { response: { object: "list", data: [evaluation] } },
    errors: [401, 403, 404, 429, 500],
    headers,
  },
];

/** It runs as a job: the answer is the job, or the quote that was asked for. */
export const evaluateOperation = {
  path: `${one}/evaluate`,
  id: "evaluatePrompt",
  tag,
  summary: "Evaluate a prompt on labelled examples, or improve it",
  description:
    "Always a job: 202 with its address. Its output is a report: accuracy with its interval, classes, the worst " +
    "misses, what it cost; with optimise what was tried, and whether the winner is better. With dry_run: what it " +
    "would cost.",
  request: EvaluateRequest,
  response: PromptQuote,
  example: {
    request: {
      examples: input.examples,
      labels: input.labels ?? [],
      parameters: { max_tokens: parameters.max_tokens },
      dry_run: true,
    },
    response: {
      object: "prompt.quote",
      prompt: promptId,
      version: 1,
      model,
      calls: 2,
      units: 97,
    },
  },
} as const;
