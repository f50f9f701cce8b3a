/**
 * The life of a job here: received → parsed → answered → its terminal event acknowledged by the edge → its message
 * deleted, in this order, so that a crash at any point leaves the message to another worker and nothing is lost. A job that
 * the edge gives up ends so too, by an event that says what it took.
 *
 * A job received twice while in flight is computed once. A message that was dealt with and shows up again, because its
 * delete was lost, is recognised by its message id. A job whose every other receive ended without an answer may have
 * brought its worker down each time: from the third receive on such jobs run one after the other, so that those who were
 * only near get away, and on the last receive a job is failed, and its message left for the dead-letter queue, as is one
 * that cannot be read.
 */
import type { TerminalEvent, Usage } from "#contract/events.ts";
import { errorTable, type PublicError } from "#contract/errors.ts";
import type { JobId } from "#contract/job-id.ts";
import type { JobMessage } from "#contract/job-message.ts";
import { queueNumbers } from "#contract/queue.ts";
import { LRUCache } from "lru-cache";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { JobAnswerer } from "./computation-executor.ts";
import type { EventReports } from "./computation-reporter.ts";
import type { MessageLedger } from "./held-messages.ts";
import { type ParsedMessage, parseMessage } from "./parse-message.ts";
import type { QueueMessage } from "./sqs-queue.ts";
import { translateError } from "./translate-error.ts";

export type JobConsumerOptions = {
  answerer: Pick<JobAnswerer, "answer">;
  reports: EventReports;
  ledger: MessageLedger;
  metrics: Pick<Metrics, "jobsFinished" | "jobSeconds" | "messagesReceived" | "messagesPoisoned">;
  log: Log;
  /** Milliseconds since the epoch. */
  wallClock(): number;
  /** A job has ended: there is room. */
  onRoom(): void;
  /** Whether another worker may succeed with what failed here. */
  isDeviceFault(error: unknown): boolean;
};

type HeldJob = {
  job: JobMessage;
  /** Of every receive of it. */
  messages: QueueMessage[];
  controller: AbortController;
  /** Of the last event. Starts at the time of receipt, so that a later try by another worker counts on from there. */
  sequence: number;
  receivedAt: number;
  /** Given to models to run. */
  tokens: number;
};

/** From this receive on a job is under suspicion. */
const suspiciousReceives = 3;

class Cancelled extends Error {}
class HandedBack extends Error {}

export class JobConsumer {
  readonly #options: JobConsumerOptions;
  readonly #jobs = new Map<JobId, HeldJob>();
  /** Message ids that need no more work: what to do with their messages. */
  readonly #done = new LRUCache<string, "delete" | "release">({ max: 20_000 });
  /** Settles when the suspicious job received last has ended. */
  #suspects: Promise<void> = Promise.resolve();
  #stopping = false;
  #onEmpty: (() => void) | null = null;

  constructor(options: JobConsumerOptions) {
    this.#options = options;
  }

  /** Jobs in flight. */
  get size(): number {
    return this.#jobs.size;
  }

  holds(job: JobId): boolean {
    return this.#jobs.has(job);
  }

  accept(messages: readonly QueueMessage[]): void {
    this.#options.metrics.messagesReceived.inc(messages.length);
    for (const message of messages) this.#acceptOne(message);
  }

  /** Nobody waits for these jobs any more. */
  cancel(jobs: readonly JobId[]): void {
    for (const id of jobs) this.#jobs.get(id)?.controller.abort(new Cancelled());
  }

  /** From now on, what is received is handed back at once. Resolves when no job is in flight. */
  async finish(): Promise<void> {
    this.#stopping = true;
    if (this.#jobs.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  /** Gives up what is in flight and hands it back. Call it after `finish` has been given its time. */
  handBack(): void {
    this.#stopping = true;
    for (const held of this.#jobs.values()) {
      held.controller.abort(new HandedBack());
      this.#end(held, "release", "handed_back");
    }
  }

  #acceptOne(message: QueueMessage): void {
    const { ledger } = this.#options;
    if (this.#stopping) return ledger.release([message.receipt]);
    const done = this.#done.get(message.messageId);
    if (done !== undefined) return ledger[done]([message.receipt]);
    ledger.hold(message.receipt);
    const parsed = parseMessage(message.body);
    if (parsed.kind !== "job") return this.#refuse(message, parsed);
    const running = this.#jobs.get(parsed.job.id);
    if (running !== undefined) {
      // A job that is being given up may have been sent again: this message is for after that.
      if (running.controller.signal.aborted) return ledger.release([message.receipt]);
      running.messages.push(message);
      return;
    }
    const held = this.#begin(parsed.job, message);
    if (message.receiveCount < suspiciousReceives) void this.#work(held);
    else this.#suspects = this.#suspects.then(() => this.#work(held));
  }

  #begin(job: JobMessage, message: QueueMessage): HeldJob {
    const receivedAt = this.#options.wallClock();
    const controller = new AbortController();
    const held: HeldJob = {
      job,
      messages: [message],
      controller,
      sequence: receivedAt,
      receivedAt,
      tokens: 0,
    };
    this.#jobs.set(job.id, held);
    this.#options.reports.hold(job.shard, job.id);
    return held;
  }

  async #work(held: HeldJob): Promise<void> {
    const { reports, log } = this.#options;
    const { job, messages } = held;
    // Handed back while it waited its turn.
    if (this.#jobs.get(job.id) !== held) return;
    try {
      const lastReceive = (messages[0]?.receiveCount ?? 1) >= queueNumbers.maxReceiveCount;
      const outcome = lastReceive ? this.#lost(held) : await this.#answer(held);
      if (outcome === null) return;
      this.#observe(held, outcome);
      await reports.deliver(job.shard, outcome);
      this.#end(held, lastReceive ? "release" : "delete", null);
    } catch (error) {
      // A fault of this program or of the device, never the job's. The message stays for another try.
      log.error({ error, job: job.id }, "a job could not be brought to an end");
      const isFault = this.#options.isDeviceFault(error);
      this.#end(held, "release", isFault ? "device_fault" : "internal_error");
    }
  }

  /** @returns null where the job has been handed back */
  async #answer(held: HeldJob): Promise<TerminalEvent | null> {
    const { answerer, reports } = this.#options;
    const { job, controller } = held;
    reports.note(job.shard, { ...this.#nextEvent(held), type: "started" });
    try {
      const answer = await answerer.answer(job, {
        signal: controller.signal,
        onProgress: (completed, total) =>
          reports.note(job.shard, { ...this.#nextEvent(held), type: "progress", completed, total }),
        onRun: (tokens) => {
          held.tokens += tokens;
        },
      });
      return { ...this.#nextEvent(held), type: "succeeded", ...answer };
    } catch (error) {
      if (controller.signal.reason instanceof HandedBack) return null;
      if (controller.signal.aborted) {
        return { ...this.#nextEvent(held), type: "cancelled", usage: usageOf(held) };
      }
      if (this.#options.isDeviceFault(error)) throw error;
      const translated = translateError(error);
      this.#logFailure(job, error, translated);
      return this.#failed(held, translated);
    }
  }

  /** Of a caller's own mistake there is nothing to look for here, so no stack is written. */
  #logFailure({ id: job, task, model }: JobMessage, error: unknown, told: PublicError): void {
    const { log } = this.#options;
    if (errorTable[told.code].status < 500) {
      log.info({ ...told, job, task, model }, "a job was refused");
      return;
    }
    const level = told.code === "internal_error" ? "error" : "warn";
    log[level]({ error, job, task, model }, "a job failed");
  }

  #lost(held: HeldJob): TerminalEvent {
    this.#options.log.error({ job: held.job.id }, "a job brought down every worker that took it");
    this.#options.metrics.messagesPoisoned.inc();
    return this.#failed(held, {
      code: "worker_lost",
      message: "Every worker that took this job was lost before it could answer.",
      param: null,
    });
  }

  #failed(held: HeldJob, error: PublicError): TerminalEvent {
    const usage = held.tokens === 0 ? {} : { usage: usageOf(held) };
    return { ...this.#nextEvent(held), type: "failed", error, ...usage };
  }

  #nextEvent(held: HeldJob) {
    held.sequence += 1;
    const { id, tenant, requestKey } = held.job;
    return { jobId: id, sequence: held.sequence, tenant, requestKey };
  }

  #observe(held: HeldJob, outcome: TerminalEvent): void {
    const { metrics, wallClock } = this.#options;
    const { task } = held.job;
    const label = outcome.type === "failed" ? outcome.error.code : outcome.type;
    metrics.jobsFinished.inc({ task, outcome: label });
    if (outcome.type === "cancelled") return;
    metrics.jobSeconds.observe({ task }, (wallClock() - held.receivedAt) / 1_000);
  }

  /** @param label counted as the job's outcome, unless it has been counted */
  #end(held: HeldJob, fate: "delete" | "release", label: string | null): void {
    const { job, messages } = held;
    if (this.#jobs.get(job.id) !== held) return;
    const { ledger, metrics, reports, onRoom } = this.#options;
    if (label !== null) metrics.jobsFinished.inc({ task: job.task, outcome: label });
    this.#jobs.delete(job.id);
    reports.drop(job.shard, job.id);
    if (fate === "delete")
      for (const { messageId } of messages) this.#done.set(messageId, "delete");
    ledger[fate](messages.map((message) => message.receipt));
    if (this.#jobs.size === 0) this.#onEmpty?.();
    onRoom();
  }

  /** A message that cannot be read: its job is failed if its id can be read; the message goes the dead-letter way. */
  #refuse(message: QueueMessage, parsed: Exclude<ParsedMessage, { kind: "job" }>): void {
    const { ledger, log, metrics, reports, wallClock } = this.#options;
    this.#done.set(message.messageId, "release");
    metrics.messagesPoisoned.inc();
    log.error({ message: message.messageId, reason: parsed.reason }, "a message cannot be read");
    if (parsed.kind === "foreign") return ledger.release([message.receipt]);
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
    void reports.deliver(parsed.shard, event).then(() => ledger.release([message.receipt]));
  }
}

function usageOf({ tokens }: HeldJob): Usage {
  return { promptTokens: tokens };
}
