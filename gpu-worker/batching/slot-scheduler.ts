/**
 * Gives the machine to the batches of all models: so many run side by side, however many models there are. Decides by
 * slot-policy.ts whose turn it is, and awaits what was decided.
 *
 * No lingering: while batches run, what arrives waits and forms the next; an idle machine starts at the end of the current
 * turn of the event loop, so that callers of the same moment share the first batch. Where what waits would fill a batch,
 * one is chosen and made ready while others run, so that no slot waits for JavaScript.
 */
import { decideSlot, type Head, type SlotDecision } from "./slot-policy.ts";
import { TenantTurns } from "./fair-queueing.ts";

/** A batch taken from a queue, to be run once. */
export type SlotBatch = {
  /** Does what can be done before there is a slot. */
  prepare(): void;
  /** Never rejects. @returns what hands the results out, called when the slot has been given on */
  run(): Promise<() => void>;
};

/** A queue as the scheduler sees it. */
export type SlotUser = {
  /** Batches of all queues that may run side by side when one of this queue starts. */
  readonly slots: number;
  readonly full: boolean;
  /** Null: nothing waits. */
  head(): Head | null;
  /** @param batches what waits is for so many */
  take(batches: number): SlotBatch;
};

export class SlotScheduler {
  /** Queues where something waits. */
  readonly #users = new Set<SlotUser>();
  #running = 0;
  #ready: { batch: SlotBatch; slots: number } | null = null;
  /** Of the tenants of all queues. */
  readonly turns = new TenantTurns();
  #scheduled = false;
  #arrivals = 0;

  /** The place of a new entry among those of its turn. */
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
      const head = user.head();
      if (head === null) this.#users.delete(user);
      return head === null ? [] : [{ user, head, slots: user.slots, full: user.full }];
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
