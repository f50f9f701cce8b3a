/**
 * Calls and their answers as published: each answer is what the renderer of the real ones makes of the task's example.
 */
import type { ErrorCode } from "#contract/errors.ts";
import { resultDocument } from "#contract/result-document.ts";
import { taskTable } from "#contract/task-table.ts";
import type { Task } from "#contract/tasks.ts";
import type { ErrorForm } from "../answers/error-forms.ts";
import { jobFrame } from "../answers/job-document.ts";
import type { Job } from "../answers/job.ts";
import { render } from "../answers/render.ts";
import type { Rendering } from "../answers/rendering.ts";

export type Example = { request: unknown; response: unknown };

export const jobId = "job_3_000000000000000000000000000000b3";
const createdAt = 1_764_336_000_000;

/** What the caller sends is the route's own. */
export function exampleOf(task: Task, rendering: Rendering, request: object): Example {
  return { request, response: JSON.parse(bodyOf(task, rendering)) };
}

export function nativeExample(task: Task): Example {
  const { model, input, parameters } = taskTable[task].example;
  return exampleOf(task, { route: "tasks" }, { model, inputs: [input], ...given(parameters) });
}

export function huggingFaceExample(task: Task): Example {
  const { input, parameters } = taskTable[task].example;
  const flat = taskTable[task].huggingFace?.flat === true;
  const beside = flat ? parameters : given(parameters);
  const rendering = { route: "hugging-face", task, single: true } as const;
  return exampleOf(task, rendering, { inputs: input, ...beside });
}

/** A job of embeddings that succeeded. */
export function jobExample(): unknown {
  const task = "feature-extraction";
  const { model, tokens } = taskTable[task].example;
  const rendering: Rendering = {
    route: "openai.embeddings",
    encodingFormat: "float",
    single: true,
  };
  const job: Job = {
    id: jobId,
    status: "succeeded",
    task,
    model,
    rendering,
    warnings: [],
    createdAt,
    finishedAt: createdAt + 2_000,
    told: null,
    progress: null,
    result: null,
    error: null,
  };
  const { before, after } = jobFrame(job, { promptTokens: tokens });
  return JSON.parse(`${before}${bodyOf(task, rendering)}${after}`);
}

/** The same job, just accepted, or cancelled. */
export function unfinishedJobExample(status: "starting" | "canceled"): unknown {
  const { finished_at, ...job } = jobExample() as Record<string, unknown>;
  const ended = status === "canceled" ? finished_at : null;
  return { ...job, status, finished_at: ended, output: null, usage: null };
}

export function errorExample(code: ErrorCode, message: string, form: ErrorForm): unknown {
  return form.body({ code, message, param: null });
}

function bodyOf(task: Task, rendering: Rendering): string {
  const { model, output, tokens, made } = taskTable[task].example;
  const result = { task, model, modelDigest: "1c2b7d0c9d4e", outputs: [output], warnings: [] };
  const usage = { promptTokens: tokens, ...(made === undefined ? {} : { completionTokens: made }) };
  return render(rendering, resultDocument({ ...result, usage })).body;
}

function given(parameters: object): object {
  return Object.keys(parameters).length === 0 ? {} : { parameters };
}
