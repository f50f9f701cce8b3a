/** Whose turn it is: the order itself, and what becomes of a slot. */
import { describe, expect, it } from "vitest";
import { compareHeads, decideSlot, type Head } from "../../gpu-worker/batching/slot-policy.ts";
import { randomFrom } from "../../bench/harness/random.ts";

const head = (arrival: number, turn = 0, overdueSince: number | null = null): Head => ({
  overdueSince,
  turn,
  arrival,
});

const queueOf = (of: Head, full = false) => ({ head: of, slots: 2, full });

describe("compareHeads", () => {
  it("puts those past their bound first, the longest wait before the others, then turns, then arrival", () => {
    const inOrder = [head(9, 9, 100), head(1, 0, 200), head(2), head(3), head(1, 1)];
    const random = randomFrom(3);
    for (let round = 0; round < 50; round += 1) {
      const shuffled = inOrder
        .map((each) => ({ each, key: random() }))
        .toSorted((a, b) => a.key - b.key)
        .map(({ each }) => each);
      expect(shuffled.toSorted(compareHeads)).toEqual(inOrder);
    }
  });
});

describe("decideSlot", () => {
  it("starts the queue whose first is served first, and shares what waits there among its free slots", () => {
    const both = [queueOf(head(2)), queueOf(head(1))];
    const decided = decideSlot({ running: 0, readySlots: null, queues: both });
    expect(decided).toEqual({ do: "start", queue: 1, batches: 1 });
    const alone = decideSlot({ running: 0, readySlots: null, queues: [queueOf(head(2))] });
    expect(alone).toEqual({ do: "start", queue: 0, batches: 2 });
  });

  it("gets a full batch ready while all slots are taken, and no second one", () => {
    const full = [queueOf(head(1), true)];
    const decided = decideSlot({ running: 2, readySlots: null, queues: full });
    expect(decided).toEqual({ do: "get ready", queue: 0, batches: 1 });
    expect(decideSlot({ running: 2, readySlots: 2, queues: full })).toEqual({ do: "wait" });
    expect(decideSlot({ running: 1, readySlots: 2, queues: full })).toEqual({ do: "start ready" });
  });

  it("collects more where all slots are taken and what waits fills no batch", () => {
    const queues = [queueOf(head(1))];
    expect(decideSlot({ running: 2, readySlots: null, queues })).toEqual({ do: "wait" });
  });

  it("lets nobody past the first in order, not even into a slot that the first has no use for", () => {
    // One model may run alone only, and waits for the other's run to end.
    const queues = [{ head: head(1), slots: 1, full: false }, queueOf(head(2))];
    expect(decideSlot({ running: 1, readySlots: null, queues })).toEqual({ do: "wait" });
  });

  it("waits where nothing waits", () => {
    expect(decideSlot({ running: 0, readySlots: null, queues: [] })).toEqual({ do: "wait" });
  });
});
