/**
 * Jobs of a shard that have ended, remembered for a while in memory: for workers that still name them, for events that
 * come again, and for calls that were interrupted just as their job ended.
 */
import type { JobId } from "#contract/job-id.ts";
import { LRUCache } from "lru-cache";
import { RecentIds } from "./recent-ids.ts";
import type { Fate, StoredResult } from "./shard-protocol.ts";

const lifetimeMs = 600_000;
const countMax = 20_000;
const resultLifetimeMs = 60_000;
const resultCharactersMax = 2_000_000;
const resultOverheadCharacters = 500;

export class EndedJobs {
  readonly #now: () => number;
  readonly #delivered = new RecentIds(lifetimeMs, countMax);
  readonly #closed = new RecentIds(lifetimeMs, countMax);
  readonly #results = new LRUCache<JobId, StoredResult>({
    ttl: resultLifetimeMs,
    maxSize: resultCharactersMax,
    sizeCalculation: (result) =>
      (result.kind === "inline" ? result.json.length : 0) + resultOverheadCharacters,
  });

  /** @param now ms since the epoch */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Its result went to somebody, or is there for who comes back. */
  deliver(id: JobId, result: StoredResult): void {
    this.#delivered.add(id, this.#now());
    this.#results.set(id, result);
  }

  /** It came to nothing: its reservation is closed, and what a worker still makes of it is for nobody. */
  close(id: JobId): void {
    this.#closed.add(id, this.#now());
  }

  isClosed(id: JobId): boolean {
    return this.#closed.has(id, this.#now());
  }

  /** What an event of a job meets that is not open. */
  fateOf(id: JobId): Fate {
    if (this.#delivered.has(id, this.#now())) return "wanted";
    return this.isClosed(id) ? "given-up" : "unknown";
  }

  /** @returns the result that was delivered a moment ago, where there was room for it */
  resultOf(id: JobId): StoredResult | undefined {
    return this.#results.get(id);
  }
}
