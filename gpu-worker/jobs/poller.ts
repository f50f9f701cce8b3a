/**
 * Keeps long polls open while the worker can take more. One poll when little comes; another is added each time one
 * returns full, and closed when it returns nearly empty. A queue that is down is tried again with backoff. A poll is
 * never aborted: a server may already have hidden a message for it, so stopping waits for the open polls.
 */
import { queueNumbers } from "#contract/queue.ts";
import type { Log } from "../telemetry/log.ts";
import { type Backoff, backoffMs, pause } from "./backoff.ts";
import type { JobQueue, QueueMessage } from "./sqs-queue.ts";

/** Between two polls that bring something, so that quick results are posted before the next poll is prepared. */
const pauseMs = 1;

export type PollerOptions = {
  queue: Pick<JobQueue, "receive">;
  pollsMax: number;
  backoff: Backoff;
  log: Log;
  /** How many more messages may be taken now. */
  capacity(): number;
  /** Also called after `stop`, with what the last polls brought. */
  onMessages(messages: QueueMessage[]): void;
  onError(): void;
};

export class Poller {
  readonly #options: PollerOptions;
  readonly #stopping = new AbortController();
  readonly #loops = new Set<Promise<void>>();
  /** Messages that the open polls may bring. */
  #asked = 0;
  #failures = 0;
  #wake: (() => void)[] = [];

  constructor(options: PollerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#addLoop();
  }

  /** There may be capacity again. */
  wake(): void {
    if (this.#wake.length === 0 || this.#capacity() <= 0) return;
    const sleepers = this.#wake;
    this.#wake = [];
    for (const resume of sleepers) resume();
  }

  /** Whether the last try to reach the queue succeeded. */
  get reachable(): boolean {
    return this.#failures === 0;
  }

  /** Resolves when no poll is open any more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const resume of this.#wake.splice(0)) resume();
    await Promise.all(this.#loops);
  }

  #capacity(): number {
    return this.#options.capacity() - this.#asked;
  }

  #addLoop(): void {
    if (this.#loops.size >= this.#options.pollsMax || this.#stopping.signal.aborted) return;
    const loop = this.#poll().finally(() => this.#loops.delete(loop));
    this.#loops.add(loop);
  }

  async #poll(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const wanted = Math.min(this.#capacity(), queueNumbers.batchEntriesMax);
      if (wanted <= 0) {
        if (this.#loops.size > 1) return;
        await new Promise<void>((resume) => this.#wake.push(resume));
        continue;
      }
      const received = await this.#receive(wanted);
      if (received === queueNumbers.batchEntriesMax) this.#addLoop();
      else if (received * 2 < queueNumbers.batchEntriesMax && this.#loops.size > 1) return;
      if (received > 0) await pause(pauseMs, this.#stopping.signal);
    }
  }

  /** @returns how many messages came */
  async #receive(wanted: number): Promise<number> {
    const { queue, onMessages, onError, backoff, log } = this.#options;
    this.#asked += wanted;
    try {
      const messages = await queue.receive(wanted);
      this.#asked -= wanted;
      this.#failures = 0;
      if (messages.length > 0) onMessages(messages);
      return messages.length;
    } catch (error) {
      this.#asked -= wanted;
      onError();
      if (this.#stopping.signal.aborted) return 0;
      const waitMs = backoffMs(backoff, this.#failures);
      if (this.#failures === 0)
        log.warn({ error, waitMs }, "the queue does not answer; trying again");
      this.#failures += 1;
      await pause(waitMs, this.#stopping.signal);
      return 0;
    }
  }
}
