/**
 * Runs the inputs of a request through its pipeline, in batches shared with everybody else who uses the same model:
 * text in, outputs out, no queue and no HTTP. The consumer uses it, and so does whoever wants the model in process.
 */
import type { Usage } from "#contract/events.ts";
import type { Task, TaskOutput } from "#contract/tasks.ts";
import {
  BatchQueue,
  type BatchStats,
  type QueuePolicy,
  type SubmitOptions,
} from "../batching/batch-queue.ts";
import type { SentencePipeline, TaskRequest } from "../pipelines/pipeline.ts";
import { type SentenceRow, runSentences } from "../pipelines/run-sentences.ts";
import type { SentenceEncoder } from "../pipelines/sentence-encoder.ts";

export type TaskAnswer<T extends Task> = {
  /** One per input, in order. */
  outputs: TaskOutput<T>[];
  usage: Usage;
  warnings: string[];
};

export type TaskRunnerOptions = {
  policy: QueuePolicy;
  /** Milliseconds of a monotonic clock. */
  now(): number;
  onBatch?(stats: BatchStats): void;
  /** The backlog has changed. */
  onChange?(): void;
};

/**
 * Measured on CPU with MiniLM: past some hundred rows a matrix product is at its peak, so larger batches gain little, and a
 * run costs as much as some 30 tokens besides, most of it for reading the weights. Of the policies tried on 1 024 mixed
 * texts from 64 callers this one computes most in a given time.
 */
export const cpuBatchPolicy: QueuePolicy = {
  tokensMin: 128,
  tokensMax: 512,
  entriesMax: 64,
  windowEntries: 128,
  overheadTokens: 32,
  turnEntries: 32,
};

type SentenceQueue = BatchQueue<SentenceRow, Float32Array>;

export class TaskRunner {
  readonly #options: TaskRunnerOptions;
  /** By session. */
  readonly #queues = new Map<SentenceEncoder["session"], SentenceQueue>();

  constructor(options: TaskRunnerOptions) {
    this.#options = options;
  }

  /** Tokens that wait for a batch, each caller's counted up to `perCallerMax`. */
  backlogTokens(perCallerMax: number): number {
    let sum = 0;
    for (const queue of this.#queues.values()) sum += queue.backlog(perCallerMax);
    return sum;
  }

  /** @throws CodedError for inputs the model cannot read; the signal's reason */
  async run<T extends Task>(
    pipeline: SentencePipeline<T>,
    request: TaskRequest<T>,
    model: SentenceEncoder,
    options: SubmitOptions,
  ): Promise<TaskAnswer<T>> {
    const encoded = await pipeline.encode(request, model, options.signal);
    const vectors = await this.#queueOf(model).submit(encoded.rows, options);
    return {
      outputs: encoded.decode(vectors),
      usage: { promptTokens: encoded.promptTokens },
      warnings: encoded.warnings,
    };
  }

  #queueOf(model: SentenceEncoder): SentenceQueue {
    return this.#queues.get(model.session) ?? this.#openQueue(model);
  }

  /** A queue lives while it has work, so that nothing is kept of a model that was unloaded. */
  #openQueue(model: SentenceEncoder): SentenceQueue {
    const queue: SentenceQueue = new BatchQueue({
      ...this.#options,
      concurrency: model.session.concurrency,
      lengthOf: (row) => row.ids.length,
      run: (rows, signal) => runSentences(rows, model, signal),
      onChange: () => {
        if (queue.idle) this.#queues.delete(model.session);
        this.#options.onChange?.();
      },
    });
    this.#queues.set(model.session, queue);
    return queue;
  }
}
