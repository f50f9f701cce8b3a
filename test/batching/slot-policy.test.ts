/** What is served next: the order itself, and what becomes of a slot. */
import { describe, expect, it } from "vitest";
import {
  compareFronts,
  decideSlot,
  type QueueFront,
} from "../../gpu-worker/batching/slot-policy.ts";
import { randomFrom } from "../../contract/random.ts";

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

const decoder = (fields: object = {}) => ({ front: null, decodes: true, ready: true, ...fields });
const idle = { running: 0, stepping: false, turn: 0, readySlots: null, queues: [], decoders: [] };

describe("decideSlot with decoders", () => {
  it("gives a step the machine to itself", () => {
    const queues = [queueOf(front(1))];
    expect(decideSlot({ ...idle, running: 1, stepping: true, queues })).toEqual({ do: "wait" });
    const decoders = [decoder()];
    const step = { do: "step", decoder: 0, prompts: false };
    expect(decideSlot({ ...idle, running: 1, turn: 2, decoders })).toEqual({ do: "wait" });
    expect(decideSlot({ ...idle, decoders })).toEqual(step);
  });

  it("gives others one turn between two steps, cut to a quantum and side by side", () => {
    const state = { ...idle, queues: [queueOf(front(1), true)], decoders: [decoder()] };
    const cut = { do: "start cut", queue: 0, batches: 2 };
    expect(decideSlot(state)).toEqual(cut);
    expect(decideSlot({ ...state, running: 1, turn: 1 })).toEqual(cut);
    expect(decideSlot({ ...state, running: 2, turn: 2 })).toEqual({ do: "wait" });
    // One has ended: another would make the turn longer.
    expect(decideSlot({ ...state, running: 1, turn: 2 })).toEqual({ do: "wait" });
    expect(decideSlot({ ...state, running: 0, turn: 2 })).toMatchObject({ do: "step" });
    // The turn may begin while the tokens of the last step are handed out.
    expect(decideSlot({ ...state, decoders: [decoder({ ready: false })] })).toEqual(cut);
  });

  it("gives the turn to prompts or to a batch, whichever is first in order", () => {
    const decoders = [decoder({ front: front(2) })];
    const before = { ...idle, queues: [queueOf(front(1))], decoders };
    expect(decideSlot(before)).toMatchObject({ do: "start cut" });
    expect(decideSlot({ ...before, turn: 2 })).toMatchObject({ do: "step", prompts: false });
    const after = { ...idle, queues: [queueOf(front(3))], decoders };
    expect(decideSlot(after)).toEqual({ do: "step", decoder: 0, prompts: true });
  });

  it("lets a decoder read prompts in the turn of another that makes tokens", () => {
    const decoders = [decoder(), decoder({ decodes: false, front: front(1) })];
    const reads = { do: "step", decoder: 1, prompts: true };
    expect(decideSlot({ ...idle, decoders })).toEqual(reads);
    const makes = { do: "step", decoder: 0, prompts: false };
    expect(decideSlot({ ...idle, turn: 1, decoders })).toEqual(makes);
  });

  it("serves prompts in order like all others while none makes tokens", () => {
    const decoders = [decoder({ decodes: false, front: front(2) })];
    const state = { ...idle, decoders };
    expect(decideSlot(state)).toEqual({ do: "step", decoder: 0, prompts: true });
    expect(decideSlot({ ...state, running: 1 })).toEqual({ do: "wait" });
    const before = { ...state, queues: [queueOf(front(1))] };
    expect(decideSlot(before)).toEqual({ do: "start", queue: 0, batches: 2 });
    const after = { ...state, queues: [queueOf(front(3))] };
    expect(decideSlot(after)).toMatchObject({ do: "step" });
    expect(decideSlot({ ...before, readySlots: 2 })).toEqual({ do: "start ready" });
  });
});
