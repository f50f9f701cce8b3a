/**
 * Which queue gets the next free slot of the machine, and when: pure, knows no task and no clock.
 *
 * All models share one service order: by start tag, then by arrival; before that come tenants that have waited longer
 * than their bound, the longest wait first. Each batch is of the queue that holds the first in this order, and the
 * first is in it (see batch-policy.ts): whatever the model, an entry waits for at most as many batches as there are
 * entries before it.
 *
 * A decoder's step has the machine to itself. While a decoder makes tokens, its steps come first, and between two of
 * them others have one turn of a quantum: batches side by side, or pieces of prompts, whichever is first in service
 * order. While none makes tokens, prompts are served in this order like all others.
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

export type WaitingQueue = {
  front: QueueFront;
  /** Batches of all models that may run side by side when one of this queue starts. */
  slots: number;
  /** What waits would fill a batch: to collect more of it gains nothing. */
  full: boolean;
};

export type WaitingDecoder = {
  /** Of the prompts to be read; null: there are none. */
  front: QueueFront | null;
  /** It makes tokens, between whose steps others have their turn. */
  decodes: boolean;
  /** A step could start now. */
  ready: boolean;
};

export type SlotState = {
  /** Batches of all models that run now. */
  running: number;
  /** One of them is a decoder's step. */
  stepping: boolean;
  /** Batches that began since tokens were last made. */
  turn: number;
  /** Batches that may run side by side for the batch which is ready to start; null: none is ready. */
  readySlots: number | null;
  /** Queues with something that waits. */
  queues: readonly WaitingQueue[];
  /** The one whose step is the longest ago first. */
  decoders: readonly WaitingDecoder[];
};

export type SlotDecision =
  | { do: "wait" }
  /** The batch that is ready. */
  | { do: "start ready" }
  /** The next batch of the queue at this index; what waits there is for so many batches. */
  | { do: "start" | "get ready"; queue: number; batches: number }
  /** The same, of no more than a quantum. */
  | { do: "start cut"; queue: number; batches: number }
  /** @property prompts whether pieces of prompts may be in it */
  | { do: "step"; decoder: number; prompts: boolean };

/** What to do next; until it says to wait, there may be more to do. */
export function decideSlot(state: SlotState): SlotDecision {
  if (state.stepping) return { do: "wait" };
  if (state.decoders.some(({ decodes }) => decodes)) return betweenTokens(state);
  const prompts = firstServed(state.decoders.map(({ ready, front }) => (ready ? front : null)));
  const front = state.decoders[prompts]?.front ?? null;
  if (state.readySlots !== null || front === null) return decideBatch(state);
  const batch = state.queues[firstQueue(state)]?.front;
  if (batch !== undefined && compareFronts(batch, front) < 0) return decideBatch(state);
  return state.running > 0 ? { do: "wait" } : { do: "step", decoder: prompts, prompts: true };
}

function decideBatch({ running, readySlots, queues }: SlotState): SlotDecision {
  if (readySlots !== null) return { do: running < readySlots ? "start ready" : "wait" };
  const queue = firstServed(queues.map(({ front }) => front));
  const chosen = queues[queue];
  if (chosen === undefined) return { do: "wait" };
  // The first entry of every other queue gets a slot before this queue gets a second one.
  const free = chosen.slots - running;
  if (free > 0) return { do: "start", queue, batches: Math.max(1, free - queues.length + 1) };
  return chosen.full ? { do: "get ready", queue, batches: 1 } : { do: "wait" };
}

function betweenTokens(state: SlotState): SlotDecision {
  const { running, turn, readySlots, queues, decoders } = state;
  // None of the turn's batches has ended.
  const begins = running === turn;
  if (readySlots !== null && begins && turn === 0) return { do: "start ready" };
  const queue = firstQueue(state);
  const chosen = queues[queue];
  const prompts = firstServed(decoders.map(({ front }) => front));
  const front = decoders[prompts]?.front ?? null;
  const promptsFirst =
    front !== null && (chosen === undefined || compareFronts(front, chosen.front) < 0);
  if (chosen !== undefined && !promptsFirst && begins && turn < chosen.slots) {
    return { do: "start cut", queue, batches: chosen.slots };
  }
  if (running > 0) return { do: "wait" };
  const reads = promptsFirst ? decoders[prompts] : undefined;
  if (reads?.ready && !reads.decodes && turn === 0) {
    return { do: "step", decoder: prompts, prompts: true };
  }
  const decoder = decoders.findIndex(({ ready, decodes }) => ready && decodes);
  if (decoder === -1) return { do: "wait" };
  return { do: "step", decoder, prompts: promptsFirst && prompts === decoder };
}

function firstQueue({ queues }: SlotState): number {
  return firstServed(queues.map(({ front }) => front));
}

/** @returns -1: none waits */
function firstServed(fronts: readonly (QueueFront | null)[]): number {
  let [best, at]: [QueueFront | null, number] = [null, -1];
  for (const [index, front] of fronts.entries()) {
    if (front === null || (best !== null && compareFronts(front, best) >= 0)) continue;
    [best, at] = [front, index];
  }
  return at;
}
