/**
 * Gives the machine to the batches of all models: a fixed number runs side by side, however many models there are. What
 * starts next is decided by slot-policy.ts; this starts it and awaits its end.
 *
 * No batch lingers to fill up: while batches run, what arrives waits and forms the next; an idle machine starts at the
 * end of the current turn of the event loop, so that requests that arrive together share the first batch. Where what
 * waits would fill a batch, one is chosen and made ready while others run, so that no slot waits for JavaScript.
 */
import { decideSlot, type QueueFront, type SlotDecision } from "./slot-policy.ts";
import { FairQueueing } from "./fair-queueing.ts";

/** A batch taken from a queue, to be run once. */
export type SlotBatch = {
  /** Does what can be done before there is a slot. */
  prepare(): void;
  /** Never rejects. @returns hands the results out: called when the slot is free again */
  run(): Promise<() => void>;
};

/** A queue as the scheduler sees it. */
export type SlotUser = {
  /** Batches of all queues that may run side by side when one of this queue starts. */
  readonly slots: number;
  readonly full: boolean;
  /** Null: nothing waits. */
  front(): QueueFront | null;
  /** @param batches that share what waits */
  take(batches: number): SlotBatch;
};

export class SlotScheduler {
  /** Queues where something waits. */
  readonly #users = new Set<SlotUser>();
  #running = 0;
  #ready: { batch: SlotBatch; slots: number } | null = null;
  /** Of the tenants of all queues. */
  readonly fairQueueing = new FairQueueing();
  #scheduled = false;
  #arrivals = 0;

  /** The order of a new entry among those with its start tag. */
  nextArrival(): number {
    this.#arrivals += 1;
    return this.#arrivals;
  }

  /** Something new waits at `user`. */
  wake(user: SlotUser): void {
    this.#users.add(user);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#fill();
    });
  }

  #fill(): void {
    while (this.#act()) {
      // Each step takes a batch from a queue or starts the one that is ready, so this ends.
    }
  }

  /** @returns whether there may be more to do */
  #act(): boolean {
    const waiting = [...this.#users].flatMap((user) => {
      const front = user.front();
      if (front === null) this.#users.delete(user);
      return front === null ? [] : [{ user, front, slots: user.slots, full: user.full }];
    });
    const readySlots = this.#ready?.slots ?? null;
    const decision = decideSlot({ running: this.#running, readySlots, queues: waiting });
    if (decision.do === "wait") return false;
    if (decision.do === "start ready") this.#startReady();
    else this.#serve(waiting[decision.queue]?.user, decision);
    return true;
  }

  #startReady(): void {
    const ready = this.#ready;
    this.#ready = null;
    if (ready !== null) this.#start(ready.batch);
  }

  #serve(user: SlotUser | undefined, decision: Exclude<SlotDecision, { do: "wait" }>): void {
    if (user === undefined || decision.do === "start ready") return;
    const batch = user.take(decision.batches);
    if (decision.do === "start") return this.#start(batch);
    batch.prepare();
    this.#ready = { batch, slots: user.slots };
  }

  #start(batch: SlotBatch): void {
    this.#running += 1;
    void batch.run().then((handOut) => {
      this.#running -= 1;
      this.#fill();
      handOut();
    });
  }
}
