/**
 * One job from its message to what its succeeded event carries: fetch large inputs, get the model, run the pipeline,
 * store a large result. Throws what went wrong; who called translates it.
 */
import type { SucceededEvent } from "#contract/events.ts";
import { CodedError } from "#contract/errors.ts";
import type { JobMessage } from "#contract/job-message.ts";
import { limits } from "#contract/limits.ts";
import {
  resultDocumentKey,
  resultDocumentLines,
  resultDocumentType,
} from "#contract/result-document.ts";
import { type Task, type TaskInput, tasks } from "#contract/tasks.ts";
import * as z from "zod";
import type { EncoderModel } from "../pipelines/encoder-model.ts";
import type { Pipeline, TaskRequest } from "../pipelines/pipeline.ts";
import { pipelines } from "../pipelines/pipelines.ts";
import type { ObjectStore } from "./object-store.ts";
import type { TaskRunner } from "./task-runner.ts";

/** What a job needs of the catalog. */
export type ModelSource = {
  /** The model, loaded, and not unloaded before it is released. @throws CodedError where it is unknown or cannot be had */
  lease(id: string, signal: AbortSignal): Promise<ModelLease>;
};

export type ModelLease = { readonly model: EncoderModel; release(): void };

export type JobAnswererOptions = {
  models: ModelSource;
  runner: TaskRunner;
  objects: ObjectStore;
};

export type AnswerOptions = {
  signal: AbortSignal;
  onProgress(completed: number, total: number): void;
};

export type JobAnswer = Pick<SucceededEvent, "modelDigest" | "usage" | "result">;

type Computed = Omit<Extract<SucceededEvent["result"], { task: Task }>, "task">;

export class JobAnswerer {
  readonly #options: JobAnswererOptions;

  constructor(options: JobAnswererOptions) {
    this.#options = options;
  }

  async answer(job: JobMessage, options: AnswerOptions): Promise<JobAnswer> {
    const inputs = Array.isArray(job.inputs)
      ? job.inputs
      : await this.#fetchInputs(job.task, job, options.signal);
    const request = { task: job.task, inputs, parameters: job.parameters };
    const computed = await this.#compute<Task>(request, job.model, options);
    const result = { task: job.task, ...computed };
    return {
      modelDigest: computed.modelDigest,
      usage: computed.usage,
      result: await this.#shipped(job, result, options.signal),
    };
  }

  async #compute<T extends Task>(
    request: TaskRequest<T>,
    modelId: string,
    options: AnswerOptions,
  ): Promise<Computed> {
    const pipeline: Pipeline<T> = pipelines[request.task];
    if (pipeline.kind === "direct") {
      const outputs = pipeline.answer(request);
      const usage = { promptTokens: 0 };
      return { model: modelId, modelDigest: request.task, outputs, usage, warnings: [] };
    }
    const leases: ModelLease[] = [];
    const acquire = async (id: string) => {
      const lease = await this.#options.models.lease(id, options.signal);
      leases.push(lease);
      return lease.model;
    };
    try {
      const model = await acquire(modelId);
      const answer = await this.#options.runner.run(pipeline, request, model, {
        ...options,
        acquire,
      });
      return { model: model.id, modelDigest: model.digest, ...answer };
    } finally {
      for (const lease of leases) lease.release();
    }
  }

  async #fetchInputs(task: Task, job: JobMessage, signal: AbortSignal): Promise<TaskInput<Task>[]> {
    if (Array.isArray(job.inputs)) return job.inputs;
    const document = await this.#options.objects.read(job.inputs, signal);
    const schema: z.ZodType<TaskInput<Task>> = tasks[task].input;
    const parsed = z.array(schema).min(1).max(limits.inputsMax).safeParse(document);
    if (parsed.success) return parsed.data;
    throw new CodedError("invalid_value", "The stored inputs are not inputs of this task.", {
      param: "inputs",
      cause: parsed.error,
    });
  }

  /** The result itself, or where it lies if it is too large for a callback. */
  async #shipped(
    job: JobMessage,
    result: Extract<SucceededEvent["result"], { task: Task }>,
    signal: AbortSignal,
  ): Promise<SucceededEvent["result"]> {
    const bytes = Buffer.byteLength(JSON.stringify(result));
    if (bytes <= limits.inlineResultBytesMax) return result;
    const document = { contentType: resultDocumentType, lines: resultDocumentLines(result) };
    return this.#options.objects.write(resultDocumentKey(job.id), document, signal);
  }
}
