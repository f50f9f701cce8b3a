/**
 * The queue messages this worker holds: keeps them invisible to others while it works (heartbeat), deletes those that
 * are dealt with, hands back the others. Deletes and hand-backs are gathered into batches and tried until they succeed;
 * a message that is received again meanwhile is recognised by its id where it is received.
 */
import { queueNumbers } from "#contract/queue.ts";
import { whenAborted } from "../event-loop/when-aborted.ts";
import type { Log } from "../telemetry/log.ts";
import { type Backoff, backoffMs, pause } from "./backoff.ts";
import type { JobQueue } from "./sqs-queue.ts";

export type HeldMessagesOptions = {
  queue: Pick<JobQueue, "delete" | "setVisibility">;
  backoff: Backoff;
  /** Receipts wait this long for others before they are sent in one batch. */
  gatherMs: number;
  /** Milliseconds of a monotonic clock. */
  now(): number;
  log: Log;
  onError(action: "delete" | "release" | "extend"): void;
};

/** What becomes of a message in the end. */
export type Settlement = "delete" | "release";

export class HeldMessages {
  readonly #options: HeldMessagesOptions;
  /** Receipt → when its visibility was last set. */
  readonly #held = new Map<string, number>();
  readonly #settling: Record<Settlement, string[]> = { delete: [], release: [] };
  readonly #sending = new Set<Promise<void>>();
  readonly #stopped = new AbortController();
  #gathering: NodeJS.Timeout | null = null;
  #heartbeat: NodeJS.Timeout | null = null;

  constructor(options: HeldMessagesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#held.size;
  }

  hold(receipt: string): void {
    this.#held.set(receipt, this.#options.now());
    this.#heartbeat ??= setInterval(() => void this.#extendDue(), 1_000);
  }

  /** The messages are dealt with. */
  delete(receipts: readonly string[]): void {
    this.#settle("delete", receipts);
  }

  /** Another worker may receive the messages, at once. */
  release(receipts: readonly string[]): void {
    this.#settle("release", receipts);
  }

  /**
   * Resolves when all deletes and hand-backs so far have reached the queue, or the signal aborts. Stops the heartbeat.
   */
  async flush(signal: AbortSignal): Promise<void> {
    if (this.#heartbeat !== null) clearInterval(this.#heartbeat);
    this.#heartbeat = null;
    this.#send();
    const aborted = whenAborted(signal);
    while (this.#sending.size > 0 && !signal.aborted) {
      await Promise.race([Promise.all(this.#sending), aborted]);
    }
    this.#stopped.abort();
  }

  #settle(settlement: Settlement, receipts: readonly string[]): void {
    const queue = this.#settling[settlement];
    queue.push(...receipts);
    if (queue.length >= queueNumbers.batchEntriesMax) return this.#send();
    this.#gathering ??= setTimeout(() => this.#send(), this.#options.gatherMs);
  }

  #send(): void {
    if (this.#gathering !== null) clearTimeout(this.#gathering);
    this.#gathering = null;
    for (const settlement of ["delete", "release"] as const) {
      while (this.#settling[settlement].length > 0) {
        const batch = this.#settling[settlement].splice(0, queueNumbers.batchEntriesMax);
        const sending = this.#sendBatch(settlement, batch).finally(() =>
          this.#sending.delete(sending),
        );
        this.#sending.add(sending);
      }
    }
  }

  async #sendBatch(settlement: Settlement, batch: string[]): Promise<void> {
    let left = batch;
    for (let attempt = 0; left.length > 0 && !this.#stopped.signal.aborted; attempt += 1) {
      if (attempt > 0) {
        await pause(backoffMs(this.#options.backoff, attempt - 1), this.#stopped.signal);
      }
      left = await this.#try(settlement, left);
    }
    for (const receipt of batch) this.#held.delete(receipt);
  }

  async #try(settlement: Settlement, receipts: string[]): Promise<string[]> {
    const { queue, log, onError } = this.#options;
    try {
      if (settlement === "delete") return await queue.delete(receipts);
      return await queue.setVisibility(receipts, 0);
    } catch (error) {
      onError(settlement);
      log.debug({ error, action: settlement }, "the queue does not answer; trying again");
      return receipts;
    }
  }

  async #extendDue(): Promise<void> {
    const now = this.#options.now();
    const due = [...this.#held]
      .filter(([, setAt]) => now - setAt >= queueNumbers.heartbeatSeconds * 1_000)
      .map(([receipt]) => receipt);
    // Marked before the call, so that the next sweep does not send them again while this one is under way.
    for (const receipt of due) this.#held.set(receipt, now);
    const batches: string[][] = [];
    while (due.length > 0) batches.push(due.splice(0, queueNumbers.batchEntriesMax));
    await Promise.all(batches.map((batch) => this.#extend(batch)));
  }

  async #extend(receipts: string[]): Promise<void> {
    const { queue, log, onError } = this.#options;
    try {
      await queue.setVisibility(receipts, queueNumbers.visibilityTimeoutSeconds);
    } catch (error) {
      onError("extend");
      log.warn({ error, messages: receipts.length }, "could not extend the visibility of messages");
      // Due again at the next sweep.
      for (const receipt of receipts)
        if (this.#held.has(receipt)) this.#held.set(receipt, -Infinity);
    }
  }
}
