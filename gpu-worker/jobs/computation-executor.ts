/**
 * One computation from its message to what its succeeded event carries: fetch large inputs, lease the model, run the
 * pipeline, store a large result. Throws what went wrong; the caller translates it.
 */
import type { Piece, SucceededEvent } from "#contract/events.ts";
import { CodedError } from "#contract/errors.ts";
import { cutWarnings } from "#contract/cut-text.ts";
import type { JobMessage } from "#contract/job-message.ts";
import { limits } from "#contract/limits.ts";
import { type ModelDigest, joinDigests } from "#contract/models.ts";
import type { ObjectReference } from "#contract/object-reference.ts";
import {
  type JobResult,
  resultDocumentKey,
  resultDocumentType,
} from "#contract/result-document.ts";
import { type Task, type TaskInput, type TaskOutput, tasks } from "#contract/tasks.ts";
import type { TunedModelSource } from "#contract/training/tuned-model.ts";
import type * as z from "zod";
import { TimeSlices } from "../event-loop/time-slices.ts";
import type { ModelLease } from "../model/served-model.ts";
import type { FileContext, FilePipeline, Pipeline, TaskRequest } from "../pipelines/pipeline.ts";
import { pipelines } from "../pipelines/pipelines.ts";
import { charactersOf, ComputationMemory, type MemoryReservation } from "./computation-memory.ts";
import { jsonItems, jsonParts } from "./json-parts.ts";
import { MemorySemaphore } from "./memory-semaphore.ts";
import type { ObjectStore } from "./object-store.ts";
import type { TaskRunner } from "./task-runner.ts";

/** @param model id of the base @throws CodedError; the signal's reason */
export type PlanTuning = (
  model: string,
  input: TaskInput<"tuning-plan">,
  context: { signal: AbortSignal; open: FileContext["open"]; onProgress(bytes: number): void },
) => Promise<TaskOutput<"tuning-plan">>;

/** What a computation needs of the catalog. */
export type LeasableModels = {
  /**
   * The model, loaded, and not unloaded before it is released.
   * @param tuned a tenant's own model, of that name
   * @throws CodedError where it is unknown or cannot be had
   */
  lease(id: string, signal: AbortSignal, tuned?: TunedModelSource): Promise<ModelLease>;
};

export type ComputationExecutorOptions = {
  models: LeasableModels;
  runner: TaskRunner;
  objects: ObjectStore;
  /** Absent: nothing is trained from here, and none is planned. */
  planTuning?: PlanTuning;
  /**
   * Gives freed memory back to the machine: after large computations, since each thread of the tokenizer keeps much.
   */
  returnMemory?(): Promise<void>;
};

/** Of the inputs of a computation after which memory is given back. */
const largeCharacters = 2 ** 16;

export type ExecuteOptions = {
  signal: AbortSignal;
  onProgress(completed: number, total: number): void;
  /** A model starts to run so many tokens of the computation. */
  onRun(tokens: number): void;
  /** So many tokens were generated. */
  onGenerated?(tokens: number): void;
  /** What choices have grown by. Absent: nobody wants it before the result. */
  onPieces?(model: ModelDigest, pieces: readonly Piece[]): void;
};

export type ComputationResult = Pick<SucceededEvent, "modelDigest" | "usage" | "result" | "models">;

type Computed = {
  result: Omit<JobResult, "task">;
  models: ModelDigest[];
};
type RunOptions = ExecuteOptions & { tenant: string; jobId: string; memory: MemoryReservation };

export class ComputationExecutor {
  readonly #options: ComputationExecutorOptions;
  readonly #memory = new ComputationMemory();
  /** By task. */
  readonly #fileTurns = new Map<Task, MemorySemaphore>();

  constructor(options: ComputationExecutorOptions) {
    this.#options = options;
  }

  async execute(message: JobMessage, options: ExecuteOptions): Promise<ComputationResult> {
    const characters = charactersOf(message);
    const memory = await this.#memory.reserve(characters, options.signal);
    try {
      const { tenant, id: jobId } = message;
      return await this.#execute(message, { ...options, tenant, jobId, memory });
    } finally {
      // Before the next large computation begins.
      if (characters > largeCharacters) await this.#options.returnMemory?.();
      memory.release();
    }
  }

  async #execute(message: JobMessage, options: RunOptions): Promise<ComputationResult> {
    const inputs = Array.isArray(message.inputs)
      ? message.inputs
      : await this.#fetchInputs(message.task, message.inputs, options.signal);
    const request = { task: message.task, inputs, parameters: message.parameters };
    const { result: computed, models } = await this.#compute<Task>(request, message, options);
    const result = { task: message.task, ...computed, warnings: cutWarnings(computed.warnings) };
    const { modelDigest, usage } = computed;
    return {
      modelDigest,
      usage,
      models,
      result: await this.#store(message, result, options.signal),
    };
  }

  async #compute<T extends Task>(
    request: TaskRequest<T>,
    { model: modelId, tuned }: Pick<JobMessage, "model" | "tuned">,
    options: RunOptions,
  ): Promise<Computed> {
    const pipeline: Pipeline<T> = pipelines[request.task];
    if (pipeline.kind === "direct" || pipeline.kind === "file") {
      const outputs =
        pipeline.kind === "direct"
          ? pipeline.answer(request)
          : await this.#readFiles(pipeline, request, { ...options, modelId });
      const usage = { promptTokens: 0 };
      const modelDigest = request.task;
      return { result: { model: modelId, modelDigest, outputs, usage, warnings: [] }, models: [] };
    }
    const leases: ModelLease[] = [];
    const acquire = async (id: string, source?: TunedModelSource) => {
      const lease = await this.#options.models.lease(id, options.signal, source);
      leases.push(lease);
      return lease.model;
    };
    try {
      const model = await acquire(modelId, tuned);
      const answer = await this.#options.runner.run(pipeline, request, model, {
        ...options,
        acquire: (id) => acquire(id),
      });
      const models = leases.map(({ model: { id, digest } }) => ({ id, digest }));
      const modelDigest = joinDigests(models.map(({ digest }) => digest));
      return { result: { model: model.id, modelDigest, ...answer }, models };
    } finally {
      for (const lease of leases) lease.release();
    }
  }

  /** One request of a task at a time: what is kept of a file's texts, to find them again, takes memory. */
  async #readFiles<T extends Task>(
    pipeline: FilePipeline<T>,
    request: TaskRequest<T>,
    { signal, onProgress, modelId }: RunOptions & { modelId: string },
  ) {
    const { objects, planTuning: plan = cannotPlan } = this.#options;
    const turn = this.#fileTurns.get(request.task) ?? new MemorySemaphore(1);
    this.#fileTurns.set(request.task, turn);
    const release = await turn.acquire(1, signal);
    try {
      const open = (reference: ObjectReference) => objects.open(reference, signal);
      const planTuning: FileContext["planTuning"] = (input, onBytes) =>
        plan(modelId, input, { signal, open, onProgress: onBytes });
      return await pipeline.answer(request, { signal, open, onProgress, planTuning });
    } finally {
      release();
    }
  }

  /** Parsed one by one, since there may be megabytes of them. */
  async #fetchInputs(
    task: Task,
    reference: ObjectReference,
    signal: AbortSignal,
  ): Promise<TaskInput<Task>[]> {
    const text = await this.#options.objects.read(reference, signal);
    const schema: z.ZodType<TaskInput<Task>> = tasks[task].input;
    const slices = new TimeSlices(signal);
    try {
      const inputs = await slices.map(jsonItems(text), (item) => schema.parse(JSON.parse(item)));
      const { length } = inputs;
      if (length === 0 || length > limits.inputsMax) throw new RangeError(`${length} inputs`);
      return inputs;
    } catch (error) {
      signal.throwIfAborted();
      throw new CodedError("invalid_value", "The stored inputs are not inputs of this task.", {
        param: "inputs",
        cause: error,
      });
    }
  }

  /**
   * @returns the document, or a reference to it if it is too large for a callback
   * @throws CodedError for one over its bound
   */
  async #store(
    message: JobMessage,
    result: JobResult,
    signal: AbortSignal,
  ): Promise<SucceededEvent["result"]> {
    const inline: string[] = [];
    let bytes = 0;
    for await (const part of documentParts(result, signal)) {
      bytes += Buffer.byteLength(part);
      if (bytes > limits.resultBytesMax) throw tooLarge();
      if (bytes <= limits.inlineResultBytesMax) inline.push(part);
    }
    if (bytes <= limits.inlineResultBytesMax) return inline.join("");
    const document = { contentType: resultDocumentType, parts: documentParts(result, signal) };
    return this.#options.objects.write(resultDocumentKey(message.id), document, signal);
  }
}

const cannotPlan: PlanTuning = (model) =>
  Promise.reject(
    new CodedError("model_unavailable", `A training of ${model} cannot be planned on this worker`),
  );

/** The same text as `resultDocument` makes, in pieces of some kilobytes. */
async function* documentParts(
  { outputs, ...fields }: JobResult,
  signal: AbortSignal,
): AsyncGenerator<string> {
  yield `${JSON.stringify(fields)}\n`;
  for (const output of outputs) {
    yield* jsonParts(output, signal);
    yield "\n";
  }
}

function tooLarge(): CodedError {
  return new CodedError(
    "invalid_value",
    `The result has more than ${limits.resultBytesMax} bytes of JSON, the most that one request is answered with. ` +
      "Send the inputs in several requests, or ask for less of each.",
    { param: "inputs" },
  );
}
