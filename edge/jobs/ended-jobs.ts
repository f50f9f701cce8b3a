/**
 * Jobs of a shard that have ended, remembered for a while in memory: for workers that still name them, for events that
 * come again or from a second worker, and for calls that were interrupted just as their job ended.
 */
import type { JobId } from "#contract/job-id.ts";
import { LRUCache } from "lru-cache";
import type { StoredResult } from "./shard-protocol.ts";

const lifetimeMs = 600_000;
const countMax = 20_000;
const resultLifetimeMs = 60_000;
const resultCharactersMax = 2_000_000;
const resultOverheadCharacters = 500;

export type EndedJob = {
  /** Its result went to somebody, or is there for who comes back. If not, what a worker still makes of it is for nobody. */
  delivered: boolean;
  /** Tokens charged, by whoever says it ended. */
  units: number;
};

export class EndedJobs {
  readonly #jobs: LRUCache<JobId, EndedJob>;
  readonly #results: LRUCache<JobId, StoredResult>;

  /** @param now ms since the epoch */
  constructor(now: () => number) {
    const clock = { perf: { now }, ttlResolution: 0 };
    this.#jobs = new LRUCache({ ...clock, max: countMax, ttl: lifetimeMs });
    this.#results = new LRUCache({
      ...clock,
      ttl: resultLifetimeMs,
      maxSize: resultCharactersMax,
      sizeCalculation: (result) =>
        (result.kind === "inline" ? result.json.length : 0) + resultOverheadCharacters,
    });
  }

  deliver(id: JobId, units: number, result: StoredResult): void {
    this.#jobs.set(id, { delivered: true, units });
    this.#results.set(id, result);
  }

  /** It came to nothing. */
  close(id: JobId, units: number): void {
    this.#jobs.set(id, { delivered: false, units });
  }

  find(id: JobId): EndedJob | undefined {
    return this.#jobs.get(id);
  }

  /** @returns the result that was delivered a moment ago, where there was room for it */
  resultOf(id: JobId): StoredResult | undefined {
    return this.#results.get(id);
  }
}
