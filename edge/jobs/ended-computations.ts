/**
 * Jobs of a shard that have ended, remembered for a while in memory: for workers that still name them, for events that
 * come again or from a second worker, and for calls that were interrupted just as their job ended.
 */
import { LRUCache } from "lru-cache";
import type { JobId } from "#contract/job-id.ts";
import type { StoredResult } from "../storage/stored-result.ts";

const lifetimeMs = 600_000;
/** Of each kind: a flood of jobs that end well makes none forgotten that did not. */
const countMax = 20_000;
const resultLifetimeMs = 60_000;
/** Many shards may share an isolate. */
const resultCharactersMax = 300_000;
const resultOverheadCharacters = 500;

export type EndedComputation = {
  /**
   * Its result went to a caller, or is kept for its jobs. If not, a worker that still computes it should stop.
   */
  delivered: boolean;
  /** Tokens charged, by whoever says it ended. */
  units: number;
};

export class EndedComputations {
  readonly #delivered: LRUCache<JobId, EndedComputation>;
  readonly #closed: LRUCache<JobId, EndedComputation>;
  readonly #results: LRUCache<JobId, StoredResult>;

  /** @param now ms since the epoch */
  constructor(now: () => number) {
    const clock = { perf: { now }, ttlResolution: 0 };
    // By size, not by count, for which the cache would take all its memory at once.
    const remembered = { ...clock, ttl: lifetimeMs, maxSize: countMax, sizeCalculation: () => 1 };
    this.#delivered = new LRUCache(remembered);
    this.#closed = new LRUCache(remembered);
    this.#results = new LRUCache({
      ...clock,
      ttl: resultLifetimeMs,
      maxSize: resultCharactersMax,
      sizeCalculation: (result) =>
        (result.kind === "inline" ? result.document.length : 0) + resultOverheadCharacters,
    });
  }

  deliver(id: JobId, units: number, result: StoredResult): void {
    this.#delivered.set(id, { delivered: true, units });
    this.#results.set(id, result);
  }

  /** It came to nothing. */
  close(id: JobId, units: number): void {
    this.#closed.set(id, { delivered: false, units });
  }

  find(id: JobId): EndedComputation | undefined {
    return this.#delivered.get(id) ?? this.#closed.get(id);
  }

  /** @returns the result that was delivered a moment ago, where there was room for it */
  resultOf(id: JobId): StoredResult | undefined {
    return this.#results.get(id);
  }
}
