/**
 * Runs the inputs of a request through its pipeline, in batches shared with other requests for the same model: text in,
 * outputs out, no queue and no HTTP. The executor uses it, and so do commands and benchmarks that run a model in
 * process.
 */
import { CodedError } from "#contract/errors.ts";
import type { Task } from "#contract/tasks.ts";
import {
  BatchQueue,
  type BatchStats,
  type QueuePolicy,
  type SubmitOptions,
} from "../batching/batch-queue.ts";
import { deviceBounds, type FitBounds, fitPolicy } from "../batching/fit-policy.ts";
import { bytesOfRun, longestText } from "../model/run-memory.ts";
import { SlotScheduler } from "../batching/slot-scheduler.ts";
import type { Tenant } from "../batching/fair-queueing.ts";
import { Engine } from "../llm/engine.ts";
import { stepTokensOf } from "../llm/engine-limits.ts";
import type { DecoderModel } from "../model/decoder-model.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { EncoderRow, RowResult } from "../model/encoder-row.ts";
import type {
  MixedContext,
  ModelPipeline,
  TaskAnswer,
  TaskContext,
  TaskRequest,
} from "../pipelines/pipeline.ts";
import { decoderFor, encoderFor, type ServedModel } from "../model/served-model.ts";
import { type PreparedRows, prepareRows, runPrepared } from "../model/run-rows.ts";
import { FittedHeads } from "./fitted-heads.ts";
import { type GenerationEngine, type GenerationOptions, Generations } from "./generations.ts";

/** How batches are formed. */
export type RunPolicy = QueuePolicy & {
  /** What measured costs may make of the budgets. Default: a CPU's. */
  bounds?: FitBounds;
};

/** And how many computations are taken at once. */
export type WorkerPolicy = RunPolicy & {
  /** Computations held at once: those that wait for a model included. */
  computationsMax: number;
  /**
   * No more is received while this many tokens wait, some seconds of work and more than a full window. Of each tenant
   * at most a quantum is counted, because that is what the first request of another tenant waits for.
   */
  backlogTokensMax: number;
};

export type TaskRunnerOptions = {
  /** Where a model's own costs were not measured. */
  policy: RunPolicy;
  /** Milliseconds of a monotonic clock. */
  now(): number;
  /** What makes the tokens of a decoder's requests. Default: llm/engine.ts. */
  openEngine?: (model: DecoderModel) => GenerationEngine;
  log?: { warn(fields: object, message: string): void };
  onBatch?(stats: BatchStats): void;
  /** The backlog has changed. */
  onChange?(): void;
};

/**
 * Measured on a CPU with MiniLM: past some hundred rows a matrix product is at its peak, so larger batches gain little,
 * and a run has a fixed cost of some 30 tokens, mostly for reading the weights. Of the policies tried on 1 024 mixed
 * texts from 64 callers this one had the highest throughput.
 */
export const cpuBatchPolicy: WorkerPolicy = {
  tokensMin: 128,
  tokensMax: 512,
  entriesMax: 64,
  windowEntries: 128,
  overheadTokens: 32,
  quantumTokens: 1_024,
  waitMsMax: 1_000,
  computationsMax: 512,
  backlogTokensMax: 16_384,
};

/**
 * For a GPU, until a model's costs are measured there: by what is known of GPUs (thousands of tokens fill one), not
 * tried on any yet. The window stays small enough for a batch to be chosen in a few milliseconds.
 */
export const deviceBatchPolicy: WorkerPolicy = {
  tokensMin: 2_048,
  tokensMax: 8_192,
  entriesMax: 512,
  windowEntries: 1_024,
  overheadTokens: 1_024,
  quantumTokens: 16_384,
  waitMsMax: 1_000,
  bounds: deviceBounds,
  computationsMax: 2_048,
  backlogTokensMax: 131_072,
};

type EncoderQueue = BatchQueue<EncoderRow, RowResult, PreparedRows>;

/** @throws CodedError for a row that this machine's memory cannot take, however little else runs */
function checkMemory({ ids, positions = [] }: EncoderRow, { id, memory }: EncoderModel): void {
  if (memory === undefined) return;
  const shape = { longest: ids.length, texts: 1, asked: positions.length };
  if (bytesOfRun(memory, shape) <= memory.max) return;
  throw new CodedError(
    "context_length_exceeded",
    `An input of ${ids.length} tokens needs more memory than this worker has for a run of ${id}, which takes at most ` +
      `${longestText(memory)}. Shorten it, or send it in parts.`,
    { param: "inputs" },
  );
}

/** Rows of a batch may be of models that differ in their adapters alone. */
function rowsFor({ adapter }: EncoderModel, rows: readonly EncoderRow[]): readonly EncoderRow[] {
  return adapter === undefined ? rows : rows.map((row) => ({ ...row, adapter }));
}

function noOtherModel(id: string): Promise<never> {
  return Promise.reject(new CodedError("model_not_found", `The model ${id} is not here`));
}

type Memory = Pick<TaskContext, "reserveOutputs" | "reserveResult">;

/** Of one request. */
export type RunOptions = SubmitOptions &
  GenerationOptions & {
    acquire?(id: string): Promise<ServedModel>;
    memory?: Memory;
  };

const unlimitedMemory: Memory = {
  reserveOutputs: () => Promise.resolve(() => undefined),
  reserveResult: () => Promise.resolve(),
};

function policyFor(model: EncoderModel, policy: RunPolicy) {
  const { costs = [], batchTokensMax = Infinity, memory } = model;
  const fitted = { ...policy, ...fitPolicy(costs, policy.bounds) };
  const capped = (tokens: number) => Math.min(tokens, batchTokensMax);
  return {
    ...fitted,
    tokensMin: capped(fitted.tokensMin),
    tokensMax: capped(fitted.tokensMax),
    ...(memory && { memory }),
  };
}

export class TaskRunner {
  readonly #options: TaskRunnerOptions;
  /** By session. */
  readonly #queues = new Map<EncoderModel["session"], EncoderQueue>();
  /** Of all models together: each session has threads for as many runs as the machine can do at a time. */
  readonly #scheduler = new SlotScheduler();
  readonly #heads = new FittedHeads();

  readonly #generations: Generations;

  constructor(options: TaskRunnerOptions) {
    this.#options = options;
    this.#generations = new Generations(options.openEngine ?? ((model) => this.#openEngine(model)));
  }

  /** Tokens that wait for a batch, each tenant's of all models together counted up to `perTenantMax`. */
  backlogTokens(perTenantMax: number): number {
    const byTenant = new Map<Tenant, number>();
    const all = [...this.#queues.values(), ...this.#generations.engines];
    for (const [tenant, tokens] of all.flatMap((each) => [...each.backlog()])) {
      byTenant.set(tenant, (byTenant.get(tenant) ?? 0) + tokens);
    }
    let sum = 0;
    for (const tokens of byTenant.values()) sum += Math.min(tokens, perTenantMax);
    return sum;
  }

  /**
   * @param options `acquire` gives another model that a pipeline asks for; absent: there is none. `memory` is what the
   * request may take; absent: it is not limited
   * @throws CodedError for inputs the model cannot read, or a model that does not do the task; the signal's reason
   */
  async run<T extends Task>(
    pipeline: ModelPipeline<T>,
    request: TaskRequest<T>,
    model: ServedModel,
    options: RunOptions,
  ): Promise<TaskAnswer<T>> {
    const { signal, memory = unlimitedMemory } = options;
    if (pipeline.kind === "encoder") {
      return pipeline.answer(request, encoderFor(request.task, model), this.#contextOf(options));
    }
    if (pipeline.kind === "decoder") {
      const decoder = decoderFor(request.task, model);
      return this.#generations.run(pipeline, request, decoder, { ...options, memory });
    }
    if (pipeline.kind === "mixed") {
      return pipeline.answer(
        request,
        encoderFor(request.task, model),
        this.#mixedContextOf(options),
      );
    }
    if (pipeline.kind === "any") {
      return pipeline.answer(request, model, this.#contextOf(options));
    }
    const { reserveResult } = memory;
    const charge: TaskContext["charge"] = (tokens) => options.onRun?.(tokens);
    return pipeline.answer(request, model, { signal, charge, reserveResult });
  }

  /** Ends what was started beside this process. */
  async close(): Promise<void> {
    await this.#generations.close();
  }

  #contextOf(options: RunOptions): TaskContext {
    const { signal, acquire = noOtherModel, memory = unlimitedMemory } = options;
    const { reserveOutputs, reserveResult } = memory;
    const progress = new RowProgress(options.onProgress);
    return {
      signal,
      // Entities are found for another task: there is no other use of another model.
      acquire: async (id) => encoderFor("token-classification", await acquire(id)),
      plan: (rows) => progress.plan(rows),
      run: async (used, rows) => {
        for (const row of rows) checkMemory(row, used);
        const onProgress = progress.begin(rows.length);
        return this.#queueOf(used).submit(rowsFor(used, rows), { ...options, onProgress });
      },
      charge: (tokens) => options.onRun?.(tokens),
      reserveOutputs,
      reserveResult,
      classifier: (key, fit) => this.#heads.get(key, fit, signal),
    };
  }

  /** Rows and answers are steps of the pipeline's: it says itself how far it is. */
  #mixedContextOf({ onProgress, ...options }: RunOptions): MixedContext {
    const { acquire = noOtherModel, memory = unlimitedMemory } = options;
    return {
      ...this.#contextOf(options),
      acquire: async (id) => encoderFor("feature-extraction", await acquire(id)),
      writer: async (id) => {
        const model = decoderFor("chat-completion", await acquire(id));
        return { model, context: this.#generations.contextOf(model, { ...options, memory }) };
      },
      ...(onProgress && { progress: onProgress }),
    };
  }

  #openEngine(model: DecoderModel): Engine {
    const { now, log } = this.#options;
    const limits = { memoryBytes: model.keyValueBytes, stepTokensMax: stepTokensOf(model) };
    // Where other tunes of its base share it, it has the base's name and length.
    const { session, logitBlocks, steps, rowsMin, limits: own } = model;
    const { base: id = model.id, softPrompt = [] } = model;
    const maxTokens = own.maxTokens + softPrompt.length;
    const beside = { ...(logitBlocks && { logitBlocks }), ...(steps && { steps }) };
    return new Engine(
      { id, session, ...beside, rowsMin, limits: { ...own, maxTokens } },
      { scheduler: this.#scheduler, now, limits, ...(log && { log }) },
    );
  }

  #queueOf(model: EncoderModel): EncoderQueue {
    return this.#queues.get(model.session) ?? this.#openQueue(model);
  }

  /** A queue exists while it has work, so that nothing is kept of a model that was unloaded. */
  #openQueue(model: EncoderModel): EncoderQueue {
    const queue: EncoderQueue = new BatchQueue({
      ...this.#options,
      policy: policyFor(model, this.#options.policy),
      scheduler: this.#scheduler,
      slots: model.session.concurrency,
      lengthOf: (row) => row.ids.length,
      askedOf: ({ positions = [] }) => positions.length,
      prepare: (rows) => prepareRows(rows, model),
      run: (prepared, signal) => runPrepared(prepared, model, signal),
      onChange: () => {
        if (queue.idle) this.#queues.delete(model.session);
        this.#options.onChange?.();
      },
    });
    this.#queues.set(model.session, queue);
    return queue;
  }
}

type OnProgress = SubmitOptions["onProgress"];

/**
 * The progress of a computation, counted in the rows that models run for it. Its rows may be run in several calls, one
 * after another, and some are found only on the way (the pairs of entities), so the total may grow; neither number ever
 * falls.
 */
class RowProgress {
  readonly #onProgress: OnProgress;
  #begun = 0;
  #planned = 0;

  constructor(onProgress: OnProgress) {
    this.#onProgress = onProgress;
  }

  /** So many rows will be begun besides those that have been. */
  plan(rows: number): void {
    this.#planned = Math.max(this.#planned, this.#begun + rows);
  }

  /** So many rows are begun, and those before are done. @returns is called with how many of them are completed */
  begin(rows: number): (completed: number) => void {
    this.plan(rows);
    const before = this.#begun;
    this.#begun += rows;
    return (completed) => this.#onProgress?.(before + completed, this.#planned);
  }
}
