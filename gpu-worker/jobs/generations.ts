/**
 * What decoder pipelines use while they answer: an engine for each decoder in service, which makes the tokens of all
 * its requests, the process that renders conversations and the threads that hold texts to structures, started with the
 * first.
 */
import { randomUUID } from "node:crypto";
import type { Tenant } from "../batching/fair-queueing.ts";
import type { Piece } from "#contract/events.ts";
import { CodedError } from "#contract/errors.ts";
import type { Task } from "#contract/tasks.ts";
import { Grammars } from "../grammar/grammars.ts";
import type { ChatTemplate, DecoderModel } from "../model/decoder-model.ts";
import type { GenerationEnd, GenerationHandlers, GenerationRequest } from "../model/generation.ts";
import type {
  DecoderPipeline,
  GenerationContext,
  TaskAnswer,
  TaskContext,
  TaskRequest,
} from "../pipelines/pipeline.ts";
import {
  type ChatRenderer,
  ChatRefused,
  ChatTemplateError,
  openChatRenderer,
} from "../tokenizer/chat-template.ts";
import type { ToolConversation } from "../tool-calls/tool-conversation.ts";
import { softPrompted } from "./soft-prompted.ts";

/** Makes the tokens of all requests for one decoder. */
export type GenerationEngine = {
  /** @throws the signal's reason */
  generate(
    request: GenerationRequest,
    handlers: GenerationHandlers & { readonly tenant?: string; readonly adapter?: number },
  ): Promise<GenerationEnd>;
  /** Tokens of prompts that are not computed yet, each tenant's. */
  backlog(): ReadonlyMap<Tenant, number>;
};

export type GenerationOptions = {
  signal: AbortSignal;
  /** Whose share this request takes. Absent: one of its own. */
  tenant?: string;
  /** Absent: as no other's, so that nothing is drawn again. */
  jobId?: string;
  /** So many tokens of prompts are being computed. */
  onRun?(tokens: number): void;
  /** So many tokens were generated, whatever it takes to go on from them. */
  onGenerated?(tokens: number): void;
  /** So many answers of a request that has many are there. */
  onProgress?(completed: number, total: number): void;
  /** What choices have grown by. Absent: nobody wants it before the answer. */
  onPieces?(model: DecoderModel, pieces: readonly Piece[]): void;
};

type Memory = Pick<TaskContext, "reserveResult">;
type Rendering = { model: DecoderModel; signal: AbortSignal; tenant: string | undefined };

export class Generations {
  readonly #openEngine: (model: DecoderModel) => GenerationEngine;
  /** By session. */
  readonly #engines = new WeakMap<DecoderModel["session"], GenerationEngine>();
  /** Requests that each is at: only these are held, so that an engine goes with its model. */
  readonly #busy = new Map<GenerationEngine, number>();
  #renderer: ChatRenderer | null = null;
  readonly #grammars = new Grammars();

  constructor(openEngine: (model: DecoderModel) => GenerationEngine) {
    this.#openEngine = openEngine;
  }

  /** @throws CodedError for inputs the model cannot read; the signal's reason */
  run<T extends Task>(
    pipeline: DecoderPipeline<T>,
    request: TaskRequest<T>,
    model: DecoderModel,
    options: GenerationOptions & { memory: Memory },
  ): Promise<TaskAnswer<T>> {
    return pipeline.answer(request, model, this.contextOf(model, options));
  }

  /** Those at work. */
  get engines(): Iterable<GenerationEngine> {
    return this.#busy.keys();
  }

  /** Ends the process that renders, and the threads that follow grammars. */
  async close(): Promise<void> {
    this.#grammars.close();
    await this.#renderer?.close();
    this.#renderer = null;
  }

  /** What a pipeline has a model write with. */
  contextOf(
    model: DecoderModel,
    { memory, ...options }: GenerationOptions & { memory: Memory },
  ): GenerationContext {
    const {
      signal,
      tenant,
      jobId = randomUUID(),
      onRun,
      onGenerated,
      onPieces,
      onProgress,
    } = options;
    return {
      signal,
      jobId,
      charge: (tokens) => onRun?.(tokens),
      reserveResult: (bytes) => memory.reserveResult(bytes),
      generate: (used, request, { onToken, ...handlers }) =>
        this.#generate(used, request, {
          ...handlers,
          onToken(choice, token) {
            onGenerated?.(1);
            return onToken(choice, token);
          },
          ...(tenant !== undefined && { tenant }),
          signal,
          onRun: promptCounter(request, (tokens) => onRun?.(tokens)),
        }),
      constrain: (used, structure, param) =>
        this.#grammars.constrain(used, { structure, param }, { signal, tenant: tenant ?? jobId }),
      renderChat: (template, conversation) =>
        this.#render(template, conversation, { model, signal, tenant }),
      ...(onProgress && { progress: onProgress }),
      ...(onPieces && { report: (pieces) => onPieces(model, pieces) }),
    };
  }

  async #generate(
    model: DecoderModel,
    request: GenerationRequest,
    handlers: Parameters<GenerationEngine["generate"]>[1],
  ): Promise<GenerationEnd> {
    const engine = this.#engineOf(model);
    this.#busy.set(engine, (this.#busy.get(engine) ?? 0) + 1);
    try {
      const { adapter, softPrompt = [] } = model;
      const prompted = softPrompted(request, handlers, softPrompt);
      const own = { ...prompted.handlers, ...(adapter && { adapter }) };
      return prompted.endOf(await engine.generate(prompted.request, own));
    } finally {
      const left = (this.#busy.get(engine) ?? 1) - 1;
      if (left > 0) this.#busy.set(engine, left);
      else this.#busy.delete(engine);
    }
  }

  #engineOf(model: DecoderModel): GenerationEngine {
    const engine = this.#engines.get(model.session) ?? this.#openEngine(model);
    this.#engines.set(model.session, engine);
    return engine;
  }

  async #render(
    template: ChatTemplate,
    conversation: ToolConversation,
    { model, signal, tenant }: Rendering,
  ): Promise<string> {
    this.#renderer ??= openChatRenderer();
    try {
      const chat = { ...template, ...conversation, addGenerationPrompt: true };
      return await this.#renderer.render(chat, signal, tenant);
    } catch (error) {
      if (error instanceof ChatRefused) throw refused(model, `it says: ${error.message}`, error);
      if (error instanceof ChatTemplateError) throw refused(model, error.message, error);
      throw error;
    }
  }
}

/** Counts a prompt once: what is run after it is generated, or run again. */
function promptCounter({ prompt }: GenerationRequest, count: (tokens: number) => void) {
  let rest = prompt.length;
  return (tokens: number) => {
    const counted = Math.min(rest, tokens);
    rest -= counted;
    if (counted > 0) count(counted);
  };
}

/** Either way the same conversation would be refused again. */
function refused({ id }: DecoderModel, reason: string, cause: Error): CodedError {
  const message = `The chat template of ${id} does not take this conversation: ${reason}`;
  return new CodedError("invalid_value", message, { param: "messages", cause });
}
