/** How far a computation that waits for a worker has come in its shard, as its callers are told while they wait. */
import type { Computation, ComputationTable } from "./computation-table.ts";

/** Of the latest wait in the mean of waits. */
const latestShare = 0.3;

export class QueuePlaces {
  readonly #computations: ComputationTable;
  readonly #now: () => number;
  /** From when one was opened to when a worker began it, lately; null: none has begun. */
  #waitMs: number | null = null;

  /** @param now ms since the epoch */
  constructor(computations: ComputationTable, now: () => number) {
    this.#computations = computations;
    this.#now = now;
  }

  begin({ openedAt }: Computation): void {
    const waitMs = this.#now() - openedAt;
    this.#waitMs = this.#waitMs === null ? waitMs : mean(this.#waitMs, waitMs);
  }

  /**
   * The position counts those of this shard that were opened before it and have not ended, and itself; `eta` are the
   * seconds that others waited lately, less those that it has. @returns null where a worker has begun it
   */
  comment(computation: Computation): string | null {
    if (computation.status !== "starting") return null;
    let position = 1;
    for (const other of this.#computations.all()) {
      if (other === computation) break;
      position += 1;
    }
    if (this.#waitMs === null) return `queued position=${position}`;
    const leftMs = Math.max(0, this.#waitMs - (this.#now() - computation.openedAt));
    return `queued position=${position} eta=${Math.ceil(leftMs / 1_000)}`;
  }
}

function mean(before: number, latest: number): number {
  return before + latestShare * (latest - before);
}
