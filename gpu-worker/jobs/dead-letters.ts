/**
 * Reads the dead-letter queue: every worker that took a message there was lost, and its computation is reported as
 * failed with `worker_lost` so that nothing waits for it. The message is deleted once the edge has acknowledged that,
 * and is named in the log. A message that cannot be read stays, hidden, for a person to look at.
 */
import type { JobId } from "#contract/job-id.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { pause } from "./backoff.ts";
import type { ComputationReporter } from "./computation-reporter.ts";
import { parseMessage } from "./parse-message.ts";
import type { JobQueue, QueueMessage } from "./sqs-queue.ts";

export type DeadLetterOptions = {
  queue: Pick<JobQueue, "receive" | "delete" | "setVisibility">;
  reporter: Pick<ComputationReporter, "deliver">;
  metrics: Pick<Metrics, "deadLetters" | "queueErrors">;
  log: Log;
  /** Between two receives that brought nothing. */
  intervalMs: number;
  /** Milliseconds since the epoch. */
  wallClock(): number;
  /** Whether the computation is in flight here: its message was sent again, and it may still succeed. */
  isInFlight(id: JobId): boolean;
};

const messagesPerReceive = 10;
/** SQS hides a message for twelve hours at most, counted from its receive. */
const unreadableHiddenSeconds = 11 * 3_600;

export class DeadLetters {
  readonly #options: DeadLetterOptions;
  readonly #stopping = new AbortController();
  /** Message id → its latest receipt, while its failed event is being delivered. */
  readonly #handling = new Map<string, string>();
  #reading: Promise<void> = Promise.resolve();

  constructor(options: DeadLetterOptions) {
    this.#options = options;
  }

  start(): void {
    this.#reading = this.#read();
  }

  /** Resolves when no receive is open. Messages that were not dealt with become visible again. */
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
    const known = this.#handling.has(messageId);
    const parsed = parseMessage(message.body);
    if (parsed.kind === "valid" && this.#options.isInFlight(parsed.message.id)) return;
    this.#handling.set(messageId, receipt);
    if (known) return;
    void this.#handle(message, parsed)
      .catch((error: unknown) =>
        this.#options.log.warn({ error, message: messageId }, "a dead letter shows up again"),
      )
      .finally(() => this.#handling.delete(messageId));
  }

  async #handle(message: QueueMessage, parsed: ReturnType<typeof parseMessage>): Promise<void> {
    const { log, metrics, queue } = this.#options;
    const { messageId, receiveCount: receives } = message;
    if (parsed.kind === "valid") {
      const { id, task, model, shard, tenant, requestKey } = parsed.message;
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
    return this.#handling.get(messageId) ?? receipt;
  }

  #fail(
    shard: number,
    computation: { jobId: JobId; tenant: string; requestKey: string | null },
  ): Promise<void> {
    const { reporter, wallClock } = this.#options;
    return reporter.deliver(shard, {
      ...computation,
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
