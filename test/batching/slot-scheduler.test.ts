/**
 * The bound on waiting, over several models at once: no entry waits for more batches than there were entries before it.
 */
import { describe, expect, it } from "vitest";
import { BatchQueue } from "../../gpu-worker/batching/batch-queue.ts";
import { SlotScheduler } from "../../gpu-worker/batching/slot-scheduler.ts";
import { randomFrom } from "../../contract/random.ts";

const policy = {
  tokensMax: 64,
  entriesMax: 4,
  windowEntries: 8,
  overheadTokens: 4,
  quantumTokens: 320,
  tokensMin: 8,
  waitMsMax: 1_000,
};
const never = new AbortController().signal;
const settled = () => new Promise((resolve) => setImmediate(resolve));

type Item = { length: number; entriesBefore: number; batchesBefore: number };
type Run = { items: readonly Item[]; finish(): void };

/** Some models under one scheduler, whose runs end when `finishOne` is called. */
class Machine {
  readonly running: Run[] = [];
  runningMost = 0;
  /** By item: batches that began between its arrival and its own. */
  readonly waits = new Map<Item, number>();
  #batches = 0;
  #waiting = 0;
  readonly #slots: number;
  readonly #queues: BatchQueue<Item, Item, readonly Item[]>[];

  constructor(models: number, slots: number) {
    this.#slots = slots;
    const scheduler = new SlotScheduler();
    this.#queues = Array.from({ length: models }, () => this.#queue(scheduler));
  }

  #queue(scheduler: SlotScheduler) {
    return new BatchQueue<Item, Item, readonly Item[]>({
      policy,
      scheduler,
      slots: this.#slots,
      lengthOf: ({ length }) => length,
      now: () => 0,
      prepare: (items) => items,
      run: (items) => new Promise((resolve) => this.#begin(items, () => resolve(items))),
    });
  }

  #begin(items: readonly Item[], finish: () => void): void {
    for (const item of items) this.waits.set(item, this.#batches - item.batchesBefore);
    this.#batches += 1;
    this.#waiting -= items.length;
    this.running.push({ items, finish });
    this.runningMost = Math.max(this.runningMost, this.running.length);
  }

  submit(model: number, lengths: readonly number[]): void {
    const items = lengths.map((length, index) => ({
      length,
      entriesBefore: this.#waiting + index,
      batchesBefore: this.#batches,
    }));
    this.#waiting += items.length;
    void this.#queues[model]?.submit(items, { signal: never });
  }

  finishOne(at: number): void {
    this.running.splice(at, 1)[0]?.finish();
  }

  get idle(): boolean {
    return this.#queues.every((queue) => queue.idle);
  }
}

async function play(seed: number, slots: number): Promise<Machine> {
  const random = randomFrom(seed);
  const upTo = (most: number) => Math.floor(random() * most);
  const machine = new Machine(3, slots);
  for (let step = 0; step < 300; step += 1) {
    const lengths = Array.from({ length: 1 + upTo(4) }, () => 1 + upTo(80));
    if (random() < 0.6) machine.submit(upTo(3), lengths);
    else machine.finishOne(upTo(machine.running.length));
    if (random() < 0.8) await settled();
  }
  while (!machine.idle) {
    machine.finishOne(0);
    await settled();
  }
  return machine;
}

describe("SlotScheduler", () => {
  it.each([1, 2, 4])(
    "makes no entry wait for more batches than there were entries before it, in %i slots of three models",
    async (slots) => {
      for (const seed of [1, 2, 3, 4, 5]) {
        const { waits, runningMost } = await play(seed, slots);
        expect(waits.size).toBeGreaterThan(200);
        expect(runningMost).toBe(slots);
        const late = [...waits].filter(([item, batches]) => batches > item.entriesBefore);
        expect(late).toEqual([]);
      }
    },
  );
});
