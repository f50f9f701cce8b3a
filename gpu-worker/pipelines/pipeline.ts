/**
 * What it takes to serve a task. A direct pipeline answers by itself, a file pipeline from files in object storage, a
 * tokenizer pipeline with any model's tokenizer.
 * An encoder pipeline reads as encode → run → decode: it turns inputs into sequences, has them run in batches shared
 * with other requests (`context.run`), and makes outputs of the results. A decoder pipeline has tokens generated, in
 * steps shared with other requests, and gives them as they come.
 */
import type { Piece } from "#contract/events.ts";
import type { ObjectReference } from "#contract/object-reference.ts";
import type { Usage } from "#contract/result-document.ts";
import type { Task, TaskInput, TaskOutput, TaskParameters } from "#contract/tasks.ts";
import type { Structure } from "#contract/tasks/structure.ts";
import type { ChatTemplate, DecoderModel } from "../model/decoder-model.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { LinearLayer } from "../model/linear-head.ts";
import type { EncoderRow, RowResult } from "../model/encoder-row.ts";
import type { GenerationEnd, GenerationHandlers, GenerationRequest } from "../model/generation.ts";
import type { ServedModel, TextModel } from "../model/served-model.ts";
import type { TokenConstraint } from "../model/token-constraint.ts";
import type { ToolConversation } from "../tool-calls/tool-conversation.ts";

export type TaskRequest<T extends Task> = {
  task: T;
  inputs: TaskInput<T>[];
  parameters: TaskParameters<T>;
};

/**
 * What a pipeline may use while it answers one request: other parts of the worker, and the limits it shares with
 * others.
 */
export type TaskContext = {
  /** Aborts when the result is no longer wanted. */
  readonly signal: AbortSignal;
  /** So many rows will be run, at once or in several calls of `run`: what progress is counted against. */
  plan?(rows: number): void;
  /** @returns one result per row, in order @throws the signal's reason */
  run(model: EncoderModel, rows: readonly EncoderRow[]): Promise<RowResult[]>;
  /** So many tokens were read or made without a model: they are charged even if the request fails. */
  charge(tokens: number): void;
  /** Waits until there is memory for so many bytes of rows' outputs. @returns releases it */
  reserveOutputs(bytes: number): Promise<() => void>;
  /** Waits until there is memory for a result of so many bytes, kept until the request is answered. */
  reserveResult(bytes: number): Promise<void>;
  /** Another model besides the request's own, kept until the request is answered. @throws CodedError */
  acquire(id: string): Promise<EncoderModel>;
  /** What `fit` gives, kept under `key` for later requests while there is room, and fitted once however many ask. */
  classifier(key: string, fit: () => Promise<LinearLayer>): Promise<LinearLayer>;
};

export type TaskAnswer<T extends Task> = {
  /** One per input, in order. */
  outputs: TaskOutput<T>[];
  usage: Usage;
  warnings: string[];
  /** How it was computed, where the task has several ways. */
  method?: string;
};

export type DirectPipeline<T extends Task> = {
  kind: "direct";
  answer(request: TaskRequest<T>): TaskOutput<T>[];
};

export type FileContext = Pick<TaskContext, "signal"> & {
  /** The bytes of an object as they arrive. */
  open(reference: ObjectReference): AsyncIterable<Uint8Array>;
  /** Of all files of the request, in bytes. */
  onProgress(completed: number, total: number): void;
  /** What a training of the request's model would do and cost. @throws CodedError; the signal's reason */
  planTuning(
    input: TaskInput<"tuning-plan">,
    onProgress: (bytes: number) => void,
  ): Promise<TaskOutput<"tuning-plan">>;
};

/** Reads files from object storage, and has no model run. */
export type FilePipeline<T extends Task> = {
  kind: "file";
  /** @throws what the object store throws; the signal's reason */
  answer(request: TaskRequest<T>, context: FileContext): Promise<TaskOutput<T>[]>;
};

/** What every model does that reads text. */
export type TokenizerPipeline<T extends Task> = {
  kind: "tokenizer";
  /** @throws CodedError for inputs the model cannot read; the signal's reason */
  answer(
    request: TaskRequest<T>,
    model: TextModel,
    context: Pick<TaskContext, "signal" | "charge" | "reserveResult">,
  ): Promise<TaskAnswer<T>>;
};

export type EncoderPipeline<T extends Task> = {
  kind: "encoder";
  /** @throws CodedError for inputs the model cannot read; the signal's reason */
  answer(
    request: TaskRequest<T>,
    model: EncoderModel,
    context: TaskContext,
  ): Promise<TaskAnswer<T>>;
};

/** What a decoder pipeline may use while it answers one request. */
export type GenerationContext = Pick<TaskContext, "signal" | "charge" | "reserveResult"> & {
  /** A call without a seed draws from it, so that another worker goes on with the same tokens. */
  readonly jobId: string;
  /** Tokens of many requests are made in the same steps. @throws CodedError; the signal's reason */
  generate(
    model: DecoderModel,
    request: GenerationRequest,
    handlers: Pick<GenerationHandlers, "onPrompt" | "onToken">,
  ): Promise<GenerationEnd>;
  /**
   * What each choice is held to, compiled or found compiled. @param param the request's name for the structure
   * @throws CodedError for a structure that cannot be kept to; the signal's reason
   */
  constrain(
    model: DecoderModel,
    structure: Structure,
    param: string,
  ): Promise<(choice: number) => TokenConstraint>;
  /** The prompt of a conversation. @throws CodedError where the template does not take it */
  renderChat(template: ChatTemplate, conversation: ToolConversation): Promise<string>;
  /** So many answers of a request that has many are there; absent: nobody asks. */
  progress?(completed: number, total: number): void;
  /** What choices have grown by; absent: nobody wants it before the result. */
  report?(pieces: readonly Piece[]): void;
};

export type DecoderPipeline<T extends Task> = {
  kind: "decoder";
  /** @throws CodedError for inputs the model cannot read; the signal's reason */
  answer(
    request: TaskRequest<T>,
    model: DecoderModel,
    context: GenerationContext,
  ): Promise<TaskAnswer<T>>;
};

/** A decoder, and what it takes to have it write. */
export type Writer = { readonly model: DecoderModel; readonly context: GenerationContext };

/** What a mixed pipeline may use while it answers one request. */
export type MixedContext = TaskContext & {
  /** As `acquire`, of a decoder. @throws CodedError */
  writer(id: string): Promise<Writer>;
  /** How far the request is, in steps of the pipeline's own; absent: nobody asks. */
  progress?(completed: number, total: number): void;
};

/** Has texts written by a decoder, and read by encoders: the request's own model, and others. */
export type MixedPipeline<T extends Task> = {
  kind: "mixed";
  /** @throws CodedError; the signal's reason */
  answer(
    request: TaskRequest<T>,
    model: EncoderModel,
    context: MixedContext,
  ): Promise<TaskAnswer<T>>;
};

/** Asks a model of any kind for what is no task of its own. */
export type AnyModelPipeline<T extends Task> = {
  kind: "any";
  /** @throws CodedError; the signal's reason */
  answer(request: TaskRequest<T>, model: ServedModel, context: TaskContext): Promise<TaskAnswer<T>>;
};

/** What it takes a model for. */
export type ModelPipeline<T extends Task> =
  | TokenizerPipeline<T>
  | AnyModelPipeline<T>
  | MixedPipeline<T>
  | EncoderPipeline<T>
  | DecoderPipeline<T>;

export type Pipeline<T extends Task> = DirectPipeline<T> | FilePipeline<T> | ModelPipeline<T>;
