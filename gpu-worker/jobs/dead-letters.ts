/**
 * Reads the dead-letter queue: a message there brought down every worker that took it, or lost them, and its job is failed
 * with `worker_lost` so that nobody waits for it. It is deleted once the edge has acknowledged that, and the log keeps what
 * it was. A message that cannot be read stays, hidden, for a person to look at.
 */
import type { JobId } from "#contract/job-id.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { pause } from "./backoff.ts";
import type { EventReports } from "./computation-reporter.ts";
import { parseMessage } from "./parse-message.ts";
import type { JobQueue, QueueMessage } from "./sqs-queue.ts";

export type DeadLetterOptions = {
  queue: Pick<JobQueue, "receive" | "delete" | "setVisibility">;
  reports: Pick<EventReports, "deliver">;
  metrics: Pick<Metrics, "deadLetters" | "queueErrors">;
  log: Log;
  /** Between two looks that brought nothing. */
  intervalMs: number;
  /** Milliseconds since the epoch. */
  wallClock(): number;
  /** Whether this worker works on the job: it was sent again, and may still be answered. */
  isHeld(job: JobId): boolean;
};

const messagesPerReceive = 10;
/** SQS hides a message for twelve hours at most, counted from its receive. */
const unreadableHiddenSeconds = 11 * 3_600;

export class DeadLetters {
  readonly #options: DeadLetterOptions;
  readonly #stopping = new AbortController();
  /** Message id → its latest receipt, while its job's end is on the way. */
  readonly #burying = new Map<string, string>();
  #reading: Promise<void> = Promise.resolve();

  constructor(options: DeadLetterOptions) {
    this.#options = options;
  }

  start(): void {
    this.#reading = this.#read();
  }

  /** Resolves when no receive is open. What was not dealt with shows up again. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#reading;
  }

  async #read(): Promise<void> {
    const { queue, log, metrics, intervalMs } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const messages = await queue.receive(messagesPerReceive).catch((error: unknown) => {
        metrics.queueErrors.inc({ action: "receive" });
        log.debug({ error }, "the dead-letter queue does not answer");
        return [];
      });
      for (const message of messages) this.#take(message);
      if (messages.length < messagesPerReceive) await pause(intervalMs, signal);
    }
  }

  #take(message: QueueMessage): void {
    const { messageId, receipt } = message;
    const known = this.#burying.has(messageId);
    const parsed = parseMessage(message.body);
    if (parsed.kind === "job" && this.#options.isHeld(parsed.job.id)) return;
    this.#burying.set(messageId, receipt);
    if (known) return;
    void this.#bury(message, parsed)
      .catch((error: unknown) =>
        this.#options.log.warn({ error, message: messageId }, "a dead letter shows up again"),
      )
      .finally(() => this.#burying.delete(messageId));
  }

  async #bury(message: QueueMessage, parsed: ReturnType<typeof parseMessage>): Promise<void> {
    const { log, metrics, queue } = this.#options;
    const { messageId, receiveCount: receives } = message;
    if (parsed.kind === "job") {
      const { id, task, model, shard, tenant, requestKey } = parsed.job;
      log.error({ job: id, task, model, receives }, "a job came to the dead-letter queue");
      metrics.deadLetters.inc({ outcome: "failed" });
      await this.#fail(shard, { jobId: id, tenant, requestKey });
      await queue.delete([this.#receiptOf(message)]);
      return;
    }
    log.error({ message: messageId, reason: parsed.reason }, "a dead letter cannot be read");
    metrics.deadLetters.inc({ outcome: "unreadable" });
    if (parsed.kind === "unreadable") {
      const { id: jobId, shard, tenant } = parsed;
      await this.#fail(shard, { jobId, tenant, requestKey: null });
    }
    await queue.setVisibility([this.#receiptOf(message)], unreadableHiddenSeconds);
  }

  #receiptOf({ messageId, receipt }: QueueMessage): string {
    return this.#burying.get(messageId) ?? receipt;
  }

  #fail(
    shard: number,
    job: { jobId: JobId; tenant: string; requestKey: string | null },
  ): Promise<void> {
    const { reports, wallClock } = this.#options;
    return reports.deliver(shard, {
      ...job,
      type: "failed",
      sequence: wallClock(),
      error: {
        code: "worker_lost",
        message: "Every worker that took this job was lost before it could answer.",
        param: null,
      },
    });
  }
}
