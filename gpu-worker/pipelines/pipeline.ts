/**
 * What it takes to serve a task. A direct pipeline answers by itself. A sentence pipeline turns inputs into sequences
 * (`encode`), which the caller runs in batches with those of others (run-sentences.ts), and sentence vectors into
 * outputs (`decode`).
 */
import type { Task, TaskInput, TaskOutput, TaskParameters } from "#contract/tasks.ts";
import type { SentenceEncoder } from "./sentence-encoder.ts";
import type { SentenceRow } from "./run-sentences.ts";

export type TaskRequest<T extends Task> = {
  task: T;
  inputs: TaskInput<T>[];
  parameters: TaskParameters<T>;
};

export type DirectPipeline<T extends Task> = {
  kind: "direct";
  answer(request: TaskRequest<T>): TaskOutput<T>[];
};

export type EncodedSentences<T extends Task> = {
  rows: SentenceRow[];
  /** Tokens as the model reads them, special tokens included. */
  promptTokens: number;
  warnings: string[];
  /** @param vectors `[hidden]` f32, one per row, in order. @returns one output per input */
  decode(vectors: readonly Float32Array[]): TaskOutput<T>[];
};

export type SentencePipeline<T extends Task> = {
  kind: "sentence";
  /** @throws CodedError for inputs the model cannot read */
  encode(
    request: TaskRequest<T>,
    model: SentenceEncoder,
    signal: AbortSignal,
  ): Promise<EncodedSentences<T>>;
};

export type Pipeline<T extends Task> = DirectPipeline<T> | SentencePipeline<T>;
