/**
 * The queue messages this worker holds: keeps them invisible to others while it works (heartbeat), deletes those whose
 * job is answered, hands back the others. Deletes and hand-backs are gathered into batches and tried until they succeed;
 * a message that shows up again meanwhile is recognised by its id where it is received.
 */
import { queueNumbers } from "#contract/queue.ts";
import { whenAborted } from "../event-loop/when-aborted.ts";
import type { Log } from "../telemetry/log.ts";
import { type Backoff, backoffMs, pause } from "./backoff.ts";
import type { JobQueue } from "./sqs-queue.ts";

export type MessageLedgerOptions = {
  queue: Pick<JobQueue, "delete" | "setVisibility">;
  backoff: Backoff;
  /** Receipts wait this long for others before they are sent in one batch. */
  gatherMs: number;
  /** Milliseconds of a monotonic clock. */
  now(): number;
  log: Log;
  onError(action: "delete" | "release" | "extend"): void;
};

type Closing = "delete" | "release";

export class MessageLedger {
  readonly #options: MessageLedgerOptions;
  /** Receipt → when its visibility was last set. */
  readonly #held = new Map<string, number>();
  readonly #closing: Record<Closing, string[]> = { delete: [], release: [] };
  readonly #sending = new Set<Promise<void>>();
  readonly #stopped = new AbortController();
  #gathering: NodeJS.Timeout | null = null;
  #heartbeat: NodeJS.Timeout | null = null;

  constructor(options: MessageLedgerOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#held.size;
  }

  hold(receipt: string): void {
    this.#held.set(receipt, this.#options.now());
    this.#heartbeat ??= setInterval(() => void this.#extendDue(), 1_000);
  }

  /** The job is answered: the messages need not exist any more. */
  delete(receipts: readonly string[]): void {
    this.#close("delete", receipts);
  }

  /** Somebody else shall have the messages, at once. */
  release(receipts: readonly string[]): void {
    this.#close("release", receipts);
  }

  /** Resolves when everything said so far has reached the queue, or the signal aborts. Stops the heartbeat. */
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

  #close(action: Closing, receipts: readonly string[]): void {
    const queue = this.#closing[action];
    queue.push(...receipts);
    if (queue.length >= queueNumbers.batchEntriesMax) return this.#send();
    this.#gathering ??= setTimeout(() => this.#send(), this.#options.gatherMs);
  }

  #send(): void {
    if (this.#gathering !== null) clearTimeout(this.#gathering);
    this.#gathering = null;
    for (const action of ["delete", "release"] as const) {
      while (this.#closing[action].length > 0) {
        const batch = this.#closing[action].splice(0, queueNumbers.batchEntriesMax);
        const sending = this.#sendBatch(action, batch).finally(() => this.#sending.delete(sending));
        this.#sending.add(sending);
      }
    }
  }

  async #sendBatch(action: Closing, batch: string[]): Promise<void> {
    let left = batch;
    for (let attempt = 0; left.length > 0 && !this.#stopped.signal.aborted; attempt += 1) {
      if (attempt > 0) {
        await pause(backoffMs(this.#options.backoff, attempt - 1), this.#stopped.signal);
      }
      left = await this.#try(action, left);
    }
    for (const receipt of batch) this.#held.delete(receipt);
  }

  async #try(action: Closing, receipts: string[]): Promise<string[]> {
    const { queue, log, onError } = this.#options;
    try {
      if (action === "delete") return await queue.delete(receipts);
      return await queue.setVisibility(receipts, 0);
    } catch (error) {
      onError(action);
      log.debug({ error, action }, "the queue does not answer; trying again");
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
