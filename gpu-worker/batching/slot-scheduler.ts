/**
 * Gives the machine to the batches and steps of all models: a fixed number of batches runs side by side, however many
 * models there are, or one step of a decoder. What starts next is decided by slot-policy.ts; this starts it and awaits
 * its end.
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
  /**
   * @param batches that share what waits
   * @param secondsMax how long the batch may take, so far as what is first allows it
   */
  take(batches: number, secondsMax?: number): SlotBatch;
};

/** A decoder as the scheduler sees it. */
export type StepUser = {
  /** It makes tokens. */
  readonly decodes: boolean;
  /** A step could start now. */
  readonly ready: boolean;
  /** How long others may compute between two of its steps. */
  readonly quantumSeconds: number;
  /** Of the prompts to be read; null: there are none. */
  front(): QueueFront | null;
  /** @param promptSeconds how long pieces of prompts in the step may take; null: there may be none */
  step(promptSeconds: number | null): Pick<SlotBatch, "run">;
};

/**
 * A step that only reads prompts takes about so long, as the next batch would wait for its end: while batches come, and
 * where none is expected any more. Shorter steps read fewer tokens a second, so that there is no bound where there was
 * never a batch.
 */
const readSecondsMax = { expectant: 0.05, later: 0.25, never: Infinity } as const;
/** Behind so many such steps without a batch none is expected. */
const readsExpectant = 32;

type WaitingUser = { user: SlotUser; front: QueueFront; slots: number; full: boolean };

export class SlotScheduler {
  /** Queues where something waits. */
  readonly #users = new Set<SlotUser>();
  /** Decoders with something to do, the one whose step is the longest ago first. */
  readonly #steppers = new Set<StepUser>();
  #running = 0;
  #stepping = false;
  #turn = 0;
  /** Steps that only read prompts, since a batch began. */
  #reads = Infinity;
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
    this.#schedule();
  }

  /** `stepper` has something to do. */
  wakeStepper(stepper: StepUser): void {
    this.#steppers.add(stepper);
    this.#schedule();
  }

  #schedule(): void {
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
    const steppers = [...this.#steppers];
    const decision = decideSlot({
      running: this.#running,
      stepping: this.#stepping,
      turn: this.#turn,
      readySlots: this.#ready?.slots ?? null,
      queues: waiting,
      decoders: steppers.map((stepper) => ({
        front: stepper.front(),
        decodes: stepper.decodes,
        ready: stepper.ready,
      })),
    });
    if (decision.do === "wait") return false;
    if (decision.do === "start ready") this.#startReady();
    else if (decision.do === "step") this.#step(steppers[decision.decoder], decision.prompts);
    else this.#serve(waiting[decision.queue], decision);
    return true;
  }

  #startReady(): void {
    const ready = this.#ready;
    this.#ready = null;
    if (ready !== null) this.#start(ready.batch);
  }

  #serve(
    waiting: WaitingUser | undefined,
    { do: what, batches }: Extract<SlotDecision, { queue: number }>,
  ): void {
    if (waiting === undefined) return;
    const { user } = waiting;
    const batch =
      what === "start cut" ? user.take(batches, this.#quantumSeconds()) : user.take(batches);
    if (what !== "get ready") return this.#start(batch);
    batch.prepare();
    this.#ready = { batch, slots: user.slots };
  }

  /** What no decoder that makes tokens is too long for. */
  #quantumSeconds(): number {
    const decoding = [...this.#steppers].filter(({ decodes }) => decodes);
    return Math.min(...decoding.map(({ quantumSeconds }) => quantumSeconds));
  }

  /** What pieces of prompts in the step may take. */
  #promptSeconds(stepper: StepUser): number {
    if (stepper.decodes) return this.#quantumSeconds();
    return Math.min(this.#quantumSeconds(), readSecondsMax[this.#batches()]);
  }

  #batches(): keyof typeof readSecondsMax {
    if (this.#users.size > 0 || this.#reads <= readsExpectant) return "expectant";
    return this.#reads === Infinity ? "never" : "later";
  }

  #start(batch: SlotBatch): void {
    this.#running += 1;
    this.#turn += 1;
    this.#reads = 0;
    void batch.run().then((handOut) => {
      this.#running -= 1;
      this.#fill();
      handOut();
    });
  }

  #step(stepper: StepUser | undefined, prompts: boolean): void {
    if (stepper === undefined) return;
    this.#steppers.delete(stepper);
    this.#steppers.add(stepper);
    this.#running += 1;
    this.#stepping = true;
    this.#turn = stepper.decodes ? 0 : this.#turn + 1;
    if (!stepper.decodes) this.#reads += 1;
    const step = stepper.step(prompts ? this.#promptSeconds(stepper) : null);
    void step.run().then((handOut) => {
      this.#running -= 1;
      this.#stepping = false;
      this.#fill();
      handOut();
      if (!stepper.ready) this.#steppers.delete(stepper);
      this.#fill();
    });
  }
}
