/**
 * Which model's queue gets the machine next: pure, knows no task and no clock.
 *
 * All models share one service order: by turn, then by arrival; before that come tenants who have waited longer than
 * their bound, the longest first. Each batch is of the queue that holds the first in this order, and the first is in it
 * (see batch-policy.ts): whatever the model, an entry waits for at most as many batches as there are entries before it.
 */

/** What a queue would serve first. */
export type Head = {
  /** Milliseconds: when the tenant who has waited longer than his bound began to wait; null: none has. */
  overdueSince: number | null;
  turn: number;
  /** Counts up over all queues. */
  arrival: number;
};

/** Negative where `a` is served before `b`. */
export function compareHeads(a: Head, b: Head): number {
  const [since, other] = [a.overdueSince ?? Infinity, b.overdueSince ?? Infinity];
  if (since !== other) return since - other;
  return a.turn - b.turn || a.arrival - b.arrival;
}

export type SlotState = {
  /** Batches of all models that run now. */
  running: number;
  /** Batches that may run side by side for the batch which is ready to start; null: none is ready. */
  readySlots: number | null;
  /** Queues with something that waits. */
  queues: readonly {
    head: Head;
    /** Batches of all models that may run side by side when one of this queue starts. */
    slots: number;
    /** What waits would fill a batch: to collect more of it gains nothing. */
    full: boolean;
  }[];
};

export type SlotDecision =
  | { do: "wait" }
  /** The batch that is ready. */
  | { do: "start ready" }
  /** The next batch of the queue at this index; what waits there is for so many batches. */
  | { do: "start" | "get ready"; queue: number; batches: number };

/** What to do next; until it says to wait, there may be more to do. */
export function decideSlot({ running, readySlots, queues }: SlotState): SlotDecision {
  if (readySlots !== null) return { do: running < readySlots ? "start ready" : "wait" };
  const queue = firstServed(queues.map(({ head }) => head));
  const chosen = queues[queue];
  if (chosen === undefined) return { do: "wait" };
  // The other queues' first entries get a slot each before this one gets a second.
  const free = chosen.slots - running;
  if (free > 0) return { do: "start", queue, batches: Math.max(1, free - queues.length + 1) };
  return chosen.full ? { do: "get ready", queue, batches: 1 } : { do: "wait" };
}

function firstServed(heads: readonly Head[]): number {
  return heads.reduce((best, head, index) => {
    const other = heads[best];
    return other === undefined || compareHeads(head, other) < 0 ? index : best;
  }, 0);
}
