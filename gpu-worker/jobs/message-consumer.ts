/**
 * From a queue message to the end of its computation: received → parsed → executed → its terminal event
 * acknowledged by the edge → the message deleted, in this order, so that a crash at any point leaves the message to
 * another worker and nothing is lost. A computation that the edge cancels ends in the same way, by an event that says
 * what it used.
 *
 * A computation whose message is received twice while it is in flight runs once. A message that was dealt with and is
 * received again, because its delete was lost, is recognised by its message id. A message received several times may
 * have brought its worker down each time: from the third receive on, such computations run one after the other, so that
 * one of them cannot take others down with it; on the last receive a computation is failed, and its message is left for
 * the dead-letter queue, as is a message that cannot be read.
 */
import type { Piece, TerminalEvent } from "#contract/events.ts";
import type { Usage } from "#contract/result-document.ts";
import { errorTable, type PublicError } from "#contract/errors.ts";
import type { JobId } from "#contract/job-id.ts";
import type { JobMessage } from "#contract/job-message.ts";
import type { ModelDigest } from "#contract/models.ts";
import { queueNumbers } from "#contract/queue.ts";
import { LRUCache } from "lru-cache";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { ComputationExecutor } from "./computation-executor.ts";
import type { ComputationReporter } from "./computation-reporter.ts";
import type { HeldMessages, Settlement } from "./held-messages.ts";
import { type ParsedMessage, parseMessage } from "./parse-message.ts";
import type { QueueMessage } from "./sqs-queue.ts";
import { translateError } from "./translate-error.ts";

export type MessageConsumerOptions = {
  executor: Pick<ComputationExecutor, "execute">;
  reporter: ComputationReporter;
  messages: HeldMessages;
  metrics: Pick<Metrics, "jobsFinished" | "jobSeconds" | "messagesReceived" | "messagesPoisoned">;
  log: Log;
  /** Milliseconds since the epoch. */
  wallClock(): number;
  /** A computation has ended: there is capacity for another. */
  onEnd(): void;
  /** Whether the device failed, so that another worker may succeed. */
  isDeviceFault(error: unknown): boolean;
};

/** A computation in flight. */
type Computation = {
  message: JobMessage;
  /** One for every receive. */
  received: QueueMessage[];
  controller: AbortController;
  /** Of the last event. Starts at the time of receipt, so that another worker that tries later counts on from there. */
  sequence: number;
  receivedAt: number;
  /** Tokens given to models to run. */
  tokens: number;
  /** Tokens that models have generated. */
  generated: number;
};

/** From this receive on a message is suspected of bringing workers down. */
const suspiciousReceives = 3;

/** Of one event, as the contract bounds it. */
const piecesMax = 1_000;

type Progress = { type: "progress"; completed: number; total: number };

class Cancelled extends Error {}
class HandedBack extends Error {}

export class MessageConsumer {
  readonly #options: MessageConsumerOptions;
  readonly #inFlight = new Map<JobId, Computation>();
  /** Message ids that were dealt with → what to do where they are received again. */
  readonly #settled = new LRUCache<string, Settlement>({ max: 20_000 });
  /** Settles when the suspected computation received last has ended. */
  #suspects: Promise<void> = Promise.resolve();
  #stopping = false;
  #onEmpty: (() => void) | null = null;

  constructor(options: MessageConsumerOptions) {
    this.#options = options;
  }

  /** Computations in flight. */
  get size(): number {
    return this.#inFlight.size;
  }

  isInFlight(id: JobId): boolean {
    return this.#inFlight.has(id);
  }

  accept(received: readonly QueueMessage[]): void {
    this.#options.metrics.messagesReceived.inc(received.length);
    for (const each of received) this.#acceptOne(each);
  }

  /** The results of these computations are no longer wanted. */
  cancel(ids: readonly JobId[]): void {
    for (const id of ids) this.#inFlight.get(id)?.controller.abort(new Cancelled());
  }

  /** From now on, what is received is handed back at once. Resolves when no computation is in flight. */
  async finish(): Promise<void> {
    this.#stopping = true;
    if (this.#inFlight.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  /** Aborts what is in flight and hands its messages back. Call it after `finish` has been given its time. */
  handBack(): void {
    this.#stopping = true;
    for (const computation of this.#inFlight.values()) {
      computation.controller.abort(new HandedBack());
      this.#end(computation, "release", "handed_back");
    }
  }

  #acceptOne(received: QueueMessage): void {
    const { messages } = this.#options;
    const { receipt, messageId } = received;
    if (this.#stopping) return messages.release([receipt]);
    const settlement = this.#settled.get(messageId);
    if (settlement !== undefined) return messages[settlement]([receipt]);
    messages.hold(receipt);
    const parsed = parseMessage(received.body);
    if (parsed.kind !== "valid") return this.#refuse(received, parsed);
    const running = this.#inFlight.get(parsed.message.id);
    if (running !== undefined) {
      // A computation that is being aborted may have been asked for again: this message is for after that.
      if (running.controller.signal.aborted) return messages.release([receipt]);
      running.received.push(received);
      return;
    }
    const computation = this.#begin(parsed.message, received);
    if (received.receiveCount < suspiciousReceives) void this.#process(computation);
    else this.#suspects = this.#suspects.then(() => this.#process(computation));
  }

  #begin(message: JobMessage, received: QueueMessage): Computation {
    const receivedAt = this.#options.wallClock();
    const computation: Computation = {
      message,
      received: [received],
      controller: new AbortController(),
      sequence: receivedAt,
      receivedAt,
      tokens: 0,
      generated: 0,
    };
    this.#inFlight.set(message.id, computation);
    this.#options.reporter.begin(message.shard, message.id);
    return computation;
  }

  async #process(computation: Computation): Promise<void> {
    const { reporter, log } = this.#options;
    const { message, received } = computation;
    // Handed back while it waited for those before it.
    if (this.#inFlight.get(message.id) !== computation) return;
    try {
      const lastReceive = (received[0]?.receiveCount ?? 1) >= queueNumbers.maxReceiveCount;
      const outcome = lastReceive ? this.#lost(computation) : await this.#execute(computation);
      if (outcome === null) return;
      this.#observe(computation, outcome);
      await reporter.deliver(message.shard, outcome);
      this.#end(computation, lastReceive ? "release" : "delete", null);
    } catch (error) {
      // A fault of this program or of the device, never the caller's. The message stays for another try.
      log.error({ error, job: message.id }, "a job could not be brought to an end");
      const isFault = this.#options.isDeviceFault(error);
      this.#end(computation, "release", isFault ? "device_fault" : "internal_error");
    }
  }

  /** @returns null where the computation has been handed back */
  async #execute(computation: Computation): Promise<TerminalEvent | null> {
    const { executor, reporter } = this.#options;
    const { message, controller } = computation;
    const report = (event: { type: "started" } | Progress) =>
      reporter.report(message.shard, { ...this.#nextEvent(computation), ...event });
    report({ type: "started" });
    try {
      const result = await executor.execute(message, {
        signal: controller.signal,
        onProgress: (completed, total) => report({ type: "progress", completed, total }),
        onRun: (tokens) => {
          computation.tokens += tokens;
        },
        onGenerated: (tokens) => {
          computation.generated += tokens;
        },
        ...(message.stream === true && {
          onPieces: (model, pieces) => this.#stream(computation, model, pieces),
        }),
      });
      return { ...this.#nextEvent(computation), type: "succeeded", ...result };
    } catch (error) {
      if (controller.signal.reason instanceof HandedBack) return null;
      if (controller.signal.aborted) {
        return { ...this.#nextEvent(computation), type: "cancelled", usage: usageOf(computation) };
      }
      if (this.#options.isDeviceFault(error)) throw error;
      const publicError = translateError(error);
      this.#logFailure(message, error, publicError);
      return this.#failed(computation, publicError);
    }
  }

  #stream(computation: Computation, model: ModelDigest, pieces: readonly Piece[]): void {
    const { shard, id } = computation.message;
    // One that is being aborted, or was handed back, may write a little further.
    if (this.#inFlight.get(id) !== computation || computation.controller.signal.aborted) return;
    for (let at = 0; at < pieces.length; at += piecesMax) {
      this.#options.reporter.stream(shard, {
        ...this.#nextEvent(computation),
        type: "tokens",
        model: model.id,
        modelDigest: model.digest,
        pieces: pieces.slice(at, at + piecesMax),
      });
    }
  }

  /** A caller's own mistake is no fault of this program, so no stack is written for it. */
  #logFailure(message: JobMessage, error: unknown, publicError: PublicError): void {
    const { log } = this.#options;
    const { id: job, task, model } = message;
    if (errorTable[publicError.code].status < 500) {
      log.info({ ...publicError, job, task, model }, "a job was refused");
      return;
    }
    const level = publicError.code === "internal_error" ? "error" : "warn";
    log[level]({ error, job, task, model }, "a job failed");
  }

  #lost(computation: Computation): TerminalEvent {
    const { log, metrics } = this.#options;
    log.error({ job: computation.message.id }, "a job brought down every worker that took it");
    metrics.messagesPoisoned.inc();
    return this.#failed(computation, {
      code: "worker_lost",
      message: "Every worker that took this job was lost before it could answer.",
      param: null,
    });
  }

  #failed(computation: Computation, error: PublicError): TerminalEvent {
    const usage =
      computation.tokens + computation.generated === 0 ? {} : { usage: usageOf(computation) };
    return { ...this.#nextEvent(computation), type: "failed", error, ...usage };
  }

  #nextEvent(computation: Computation) {
    computation.sequence += 1;
    const { id, tenant, requestKey } = computation.message;
    return { jobId: id, sequence: computation.sequence, tenant, requestKey };
  }

  #observe(computation: Computation, outcome: TerminalEvent): void {
    const { metrics, wallClock } = this.#options;
    const { task } = computation.message;
    const label = outcome.type === "failed" ? outcome.error.code : outcome.type;
    metrics.jobsFinished.inc({ task, outcome: label });
    if (outcome.type === "cancelled") return;
    metrics.jobSeconds.observe({ task }, (wallClock() - computation.receivedAt) / 1_000);
  }

  /** @param label counted as the computation's outcome, unless it has been counted */
  #end(computation: Computation, settlement: Settlement, label: string | null): void {
    const { message, received } = computation;
    if (this.#inFlight.get(message.id) !== computation) return;
    const { messages, metrics, reporter, onEnd } = this.#options;
    if (label !== null) metrics.jobsFinished.inc({ task: message.task, outcome: label });
    this.#inFlight.delete(message.id);
    reporter.end(message.shard, message.id);
    if (settlement === "delete") {
      for (const { messageId } of received) this.#settled.set(messageId, "delete");
    }
    messages[settlement](received.map(({ receipt }) => receipt));
    if (this.#inFlight.size === 0) this.#onEmpty?.();
    onEnd();
  }

  /**
   * A message that cannot be read: its computation is failed if its id can be read; the message is left to be
   * dead-lettered.
   */
  #refuse(received: QueueMessage, parsed: Exclude<ParsedMessage, { kind: "valid" }>): void {
    const { messages, log, metrics, reporter, wallClock } = this.#options;
    const { messageId, receipt } = received;
    this.#settled.set(messageId, "release");
    metrics.messagesPoisoned.inc();
    log.error({ message: messageId, reason: parsed.reason }, "a message cannot be read");
    if (parsed.kind === "foreign") return messages.release([receipt]);
    const event = {
      type: "failed",
      jobId: parsed.id,
      sequence: wallClock(),
      tenant: parsed.tenant,
      requestKey: null,
      error: {
        code: "internal_error",
        message: "The job could not be read by the worker that received it.",
        param: null,
      },
    } as const;
    void reporter.deliver(parsed.shard, event).then(() => messages.release([receipt]));
  }
}

function usageOf({ tokens, generated }: Computation): Usage {
  return { promptTokens: tokens, ...(generated > 0 && { completionTokens: generated }) };
}
