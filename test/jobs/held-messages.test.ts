/** The heartbeat, deletes and hand-backs against a real queue server; the clock alone is the test's. */
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { FauxqsServer } from "fauxqs";
import { HeldMessages } from "../../gpu-worker/jobs/held-messages.ts";
import type { JobQueue } from "../../gpu-worker/jobs/sqs-queue.ts";
import { openTestQueue, startQueueServer } from "./rig.ts";

let server: FauxqsServer;
let queue: JobQueue;
let held: HeldMessages;
let nowMs: number;
/** Calls to the queue fail while it is set. */
let down: boolean;
const failures: string[] = [];

beforeEach(async () => {
  server = await startQueueServer(0);
  queue = openTestQueue(server.port);
  nowMs = 0;
  down = false;
  failures.length = 0;
  const guarded = <T>(call: () => Promise<T>) =>
    down ? Promise.reject(new Error("the queue is down")) : call();
  held = new HeldMessages({
    queue: {
      delete: (receipts) => guarded(() => queue.delete(receipts)),
      setVisibility: (receipts, seconds) => guarded(() => queue.setVisibility(receipts, seconds)),
    },
    backoff: { firstMs: 1, maxMs: 5, random: () => 1 },
    gatherMs: 1,
    now: () => nowMs,
    log: pino({ level: "silent" }),
    onError: (action) => failures.push(action),
  });
});

afterEach(async () => {
  await held.flush(AbortSignal.abort());
  queue.close();
  await server.stop();
});

/** Messages received by this worker. @returns their receipts */
async function receive(count: number): Promise<string[]> {
  for (let i = 0; i < count; i += 1) server.sendMessage("jobs", `message ${i}`);
  const receipts: string[] = [];
  while (receipts.length < count) {
    receipts.push(...(await queue.receive(10)).map((message) => message.receipt));
  }
  return receipts;
}

const inFlight = () => server.inspectQueue("jobs")?.messages.inflight ?? [];
const ready = () => server.inspectQueue("jobs")?.messages.ready ?? [];
const deadlines = () => inFlight().map((message) => message.visibilityDeadline);

describe("HeldMessages", () => {
  it("extends the visibility of everything held for a heartbeat, and of nothing else", async () => {
    const receipts = await receive(25);
    const left = receipts.pop() ?? "";
    for (const receipt of receipts) held.hold(receipt);
    const before = deadlines();
    nowMs = 5_000;
    await vi.waitFor(() => {
      const extended = deadlines().filter((deadline, index) => deadline > (before[index] ?? 0));
      expect(extended).toHaveLength(24);
    }, 60_000);
    const untouched = inFlight().find((message) => message.receiptHandle === left);
    expect(before).toContain(untouched?.visibilityDeadline);
  });

  it("tries an extension again after the queue was down", async () => {
    const [receipt = ""] = await receive(1);
    const [before = 0] = deadlines();
    held.hold(receipt);
    down = true;
    nowMs = 5_000;
    await vi.waitFor(() => expect(failures).toContain("extend"), 60_000);
    down = false;
    await vi.waitFor(() => expect(deadlines()[0]).toBeGreaterThan(before), 60_000);
  });

  it("deletes and hands back in batches, also after the queue was down", async () => {
    const receipts = await receive(24);
    for (const receipt of receipts) held.hold(receipt);
    down = true;
    held.delete(receipts.slice(0, 12));
    held.release(receipts.slice(12));
    await vi.waitFor(() => {
      expect(failures).toContain("delete");
      expect(failures).toContain("release");
    }, 60_000);
    expect(inFlight()).toHaveLength(24);
    down = false;
    await held.flush(new AbortController().signal);
    expect(inFlight()).toHaveLength(0);
    expect(ready()).toHaveLength(12);
    expect(held.size).toBe(0);
  });

  it("gives up at the signal's end where the queue stays down", async () => {
    const receipts = await receive(1);
    down = true;
    held.release(receipts);
    const ending = new AbortController();
    const flushed = held.flush(ending.signal);
    await vi.waitFor(() => expect(failures.length).toBeGreaterThan(2), 60_000);
    ending.abort();
    await flushed;
    expect(inFlight()).toHaveLength(1);
  });
});
