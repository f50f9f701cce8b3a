/**
 * Which model's queue gets the machine next: pure, knows no task and no clock.
 *
 * All models share one service order: by start tag, then by arrival; before that come tenants that have waited longer
 * than their bound, the longest wait first. Each batch is of the queue that holds the first in this order, and the
 * first is in it (see batch-policy.ts): whatever the model, an entry waits for at most as many batches as there are
 * entries before it.
 */

/** What a queue would serve first. */
export type QueueFront = {
  /** Milliseconds: when the tenant that has waited longer than its bound began to wait; null: none has. */
  overdueSince: number | null;
  startTag: number;
  /** Counts up over all queues. */
  arrival: number;
};

/** Negative where `a` is served before `b`. */
export function compareFronts(a: QueueFront, b: QueueFront): number {
  const [since, other] = [a.overdueSince ?? Infinity, b.overdueSince ?? Infinity];
  if (since !== other) return since - other;
  return a.startTag - b.startTag || a.arrival - b.arrival;
}

export type SlotState = {
  /** Batches of all models that run now. */
  running: number;
  /** Batches that may run side by side for the batch which is ready to start; null: none is ready. */
  readySlots: number | null;
  /** Queues with something that waits. */
  queues: readonly {
    front: QueueFront;
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
  const queue = firstServed(queues.map(({ front }) => front));
  const chosen = queues[queue];
  if (chosen === undefined) return { do: "wait" };
  // The first entry of every other queue gets a slot before this queue gets a second one.
  const free = chosen.slots - running;
  if (free > 0) return { do: "start", queue, batches: Math.max(1, free - queues.length + 1) };
  return chosen.full ? { do: "get ready", queue, batches: 1 } : { do: "wait" };
}

function firstServed(fronts: readonly QueueFront[]): number {
  return fronts.reduce((best, front, index) => {
    const other = fronts[best];
    return other === undefined || compareFronts(front, other) < 0 ? index : best;
  }, 0);
}
