/** The logs of computations that ended while somebody read them, kept for a while: a reader may come back. */
import { LRUCache } from "lru-cache";
import type { JobId } from "#contract/job-id.ts";
import type { Computation } from "./computation-table.ts";
import type { EventLog } from "./event-log.ts";

const lifetimeMs = 600_000;
/** Many shards may share an isolate. */
const bytesMax = 4 * 1024 * 1024;

type EndedLog = { tenant: string; log: EventLog; createdAt: number };

export class EventLogs {
  readonly #ended: LRUCache<JobId, EndedLog>;

  /** @param now ms since the epoch */
  constructor(now: () => number) {
    this.#ended = new LRUCache({
      perf: { now },
      ttlResolution: 0,
      ttl: lifetimeMs,
      maxSize: bytesMax,
      sizeCalculation: ({ log }) => log.bytesHeld,
    });
  }

  keep({ id, tenant, log, openedAt }: Computation): void {
    if (log.wasRead) this.#ended.set(id, { tenant, log, createdAt: openedAt });
  }

  find(id: JobId, tenant: string): EndedLog | undefined {
    const found = this.#ended.get(id);
    return found?.tenant === tenant ? found : undefined;
  }
}
