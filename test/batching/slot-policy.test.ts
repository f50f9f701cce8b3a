/** What is served next: the order itself, and what becomes of a slot. */
import { describe, expect, it } from "vitest";
import {
  compareFronts,
  decideSlot,
  type QueueFront,
} from "../../gpu-worker/batching/slot-policy.ts";
import { randomFrom } from "../../bench/harness/random.ts";

const front = (arrival: number, startTag = 0, overdueSince: number | null = null): QueueFront => ({
  overdueSince,
  startTag,
  arrival,
});

/** No decoder is there. */
const none = { stepping: false, turn: 0, decoders: [] };
const queueOf = (of: QueueFront, full = false) => ({ front: of, slots: 2, full });

describe("compareFronts", () => {
  it("puts those past their bound first, the longest wait before the others, then start tags, then arrival", () => {
    const inOrder = [front(9, 9, 100), front(1, 0, 200), front(2), front(3), front(1, 1)];
    const random = randomFrom(3);
    for (let round = 0; round < 50; round += 1) {
      const shuffled = inOrder
        .map((each) => ({ each, key: random() }))
        .toSorted((a, b) => a.key - b.key)
        .map(({ each }) => each);
      expect(shuffled.toSorted(compareFronts)).toEqual(inOrder);
    }
  });
});

describe("decideSlot", () => {
  it("starts the queue whose first is served first, and shares what waits there among its free slots", () => {
    const both = [queueOf(front(2)), queueOf(front(1))];
    const decided = decideSlot({ ...none, running: 0, readySlots: null, queues: both });
    expect(decided).toEqual({ do: "start", queue: 1, batches: 1 });
    const alone = decideSlot({
      ...none,
      running: 0,
      readySlots: null,
      queues: [queueOf(front(2))],
    });
    expect(alone).toEqual({ do: "start", queue: 0, batches: 2 });
  });

  it("gets a full batch ready while all slots are taken, and no second one", () => {
    const full = [queueOf(front(1), true)];
    const decided = decideSlot({ ...none, running: 2, readySlots: null, queues: full });
    expect(decided).toEqual({ do: "get ready", queue: 0, batches: 1 });
    expect(decideSlot({ ...none, running: 2, readySlots: 2, queues: full })).toEqual({
      do: "wait",
    });
    expect(decideSlot({ ...none, running: 1, readySlots: 2, queues: full })).toEqual({
      do: "start ready",
    });
  });

  it("collects more where all slots are taken and what waits fills no batch", () => {
    const queues = [queueOf(front(1))];
    expect(decideSlot({ ...none, running: 2, readySlots: null, queues })).toEqual({ do: "wait" });
  });

  it("lets nothing past the first in order, not even into a slot that the first has no use for", () => {
    // One model may run alone only, and waits for the other's run to end.
    const queues = [{ front: front(1), slots: 1, full: false }, queueOf(front(2))];
    expect(decideSlot({ ...none, running: 1, readySlots: null, queues })).toEqual({ do: "wait" });
  });

  it("waits where nothing waits", () => {
    expect(decideSlot({ ...none, running: 0, readySlots: null, queues: [] })).toEqual({
      do: "wait",
    });
  });
});
