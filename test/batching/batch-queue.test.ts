/** The queue through its one door, `submit`: who shares a batch, who is dropped, who goes first, who fails. */
import { describe, expect, it } from "vitest";
import { BatchQueue, type BatchStats } from "../../gpu-worker/batching/batch-queue.ts";
import { SlotScheduler } from "../../gpu-worker/batching/slot-scheduler.ts";

type Run = {
  items: readonly string[];
  signal: AbortSignal;
  finish(): void;
  fail(error: Error): void;
};

const policy = {
  tokensMax: 64,
  entriesMax: 8,
  windowEntries: 32,
  overheadTokens: 4,
  quantumTokens: 16,
  tokensMin: 8,
  waitMsMax: 1_000,
};

/**
 * Queues of strings, one a model, over one scheduler. Runs end when the test says so; a row is its item in capitals.
 * The clock stands still unless the test moves it.
 */
function makeQueue(slots = 1) {
  const runs: Run[] = [];
  const stats: BatchStats[] = [];
  const arrivals: (() => void)[] = [];
  const prepared: (readonly string[])[] = [];
  const clock = { now: 0 };
  const scheduler = new SlotScheduler();
  const options = {
    policy,
    scheduler,
    slots,
    lengthOf: (item: string) => item.length,
    now: () => clock.now,
    onBatch: (each: BatchStats) => stats.push(each),
    prepare: (items: readonly string[]) => {
      prepared.push(items);
      return items;
    },
    run: (items: readonly string[], signal: AbortSignal): Promise<string[]> =>
      new Promise((resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        const finish = () => resolve(items.map((item) => item.toUpperCase()));
        runs.push({ items, signal, finish, fail: reject });
        for (const arrived of arrivals.splice(0)) arrived();
      }),
  };
  const another = () => new BatchQueue<string, string, readonly string[]>(options);
  const queue = another();
  /** The nth run, once it has begun. */
  const run = async (index: number): Promise<Run> => {
    for (;;) {
      const found = runs[index];
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => arrivals.push(resolve));
    }
  };
  return { queue, another, clock, prepared, runs, run, stats };
}

/** A queue whose runs answer at once. */
function makeSwiftQueue(options: {
  lengthOf(item: string): number;
  run(items: readonly string[]): Promise<readonly string[]>;
}) {
  return new BatchQueue<string, string, readonly string[]>({
    policy,
    scheduler: new SlotScheduler(),
    slots: 1,
    now: () => 0,
    prepare: (items) => items,
    ...options,
  });
}

const never = new AbortController().signal;

const waitingTokens = (queue: Pick<BatchQueue<string, string, unknown>, "backlog">) =>
  [...queue.backlog()].reduce((sum, [, tokens]) => sum + tokens, 0);

describe("BatchQueue", () => {
  it("puts requests of one moment in one batch and gives each its own rows in order", async () => {
    const { queue, run, stats } = makeQueue();
    const answers = Promise.all([
      queue.submit(["ccc", "aaa"], { signal: never }),
      queue.submit(["bb"], { signal: never }),
      queue.submit([], { signal: never }),
    ]);
    (await run(0)).finish();
    expect(await answers).toEqual([["CCC", "AAA"], ["BB"], []]);
    expect(stats).toEqual([{ entries: 3, tokens: 8, tokensPadded: 9, seconds: 0 }]);
  });

  it("runs one batch at a time and gathers the next meanwhile", async () => {
    const { queue, runs, run } = makeQueue();
    const first = queue.submit(["a"], { signal: never });
    await run(0);
    const second = queue.submit(["b"], { signal: never });
    const third = queue.submit(["c"], { signal: never });
    expect(runs).toHaveLength(1);
    expect(waitingTokens(queue)).toBe(2);
    (await run(0)).finish();
    expect((await run(1)).items).toEqual(["b", "c"]);
    (await run(1)).finish();
    expect(await Promise.all([first, second, third])).toEqual([["A"], ["B"], ["C"]]);
  });

  it("tells a request of its own tokens when they start to run, and of none once it is aborted", async () => {
    const { queue, run } = makeQueue();
    const told: Record<string, number[]> = { a: [], b: [], c: [] };
    const submit = (name: string, items: string[], signal = never) =>
      queue.submit(items, { signal, onRun: (tokens) => told[name]?.push(tokens) });
    const leaving = new AbortController();
    const first = submit("a", ["aaa", "aaa"]);
    const second = submit("b", ["bbb"]);
    await run(0);
    expect(told).toEqual({ a: [3, 3], b: [3], c: [] });
    const third = submit("c", ["cc"], leaving.signal);
    const last = submit("a", ["a"]);
    leaving.abort(new Error("left"));
    await expect(third).rejects.toThrow("left");
    (await run(0)).finish();
    (await run(1)).finish();
    await Promise.all([first, second, last]);
    expect(told).toEqual({ a: [3, 3, 1], b: [3], c: [] });
  });

  it("serves a small request between the quanta of a large one", async () => {
    const { queue, run, runs } = makeQueue();
    const large = queue.submit(
      Array.from({ length: 64 }, (_, index) => `l${index % 10}`),
      { signal: never },
    );
    await run(0);
    const small = queue.submit(["sm"], { signal: never });
    const batches = 9;
    for (let index = 0; index < batches; index += 1) (await run(index)).finish();
    expect(await small).toEqual(["SM"]);
    expect(await large).toHaveLength(64);
    const position = runs.findIndex(({ items }) => items.includes("sm"));
    expect(position).toBeGreaterThan(0);
    expect(position).toBeLessThanOrEqual(3);
  });

  it("serves a tenant with one request soon, however many another has open, waiting however long", async () => {
    const { queue, clock, run, runs } = makeQueue();
    const text = "x".repeat(32);
    for (let index = 0; index < 64; index += 1) {
      void queue.submit([text, text, text, text], { signal: never, tenant: "crowd" });
    }
    for (let index = 0; index <= (64 * 4) / 2; index += 1) {
      await run(index);
      clock.now += policy.waitMsMax / 2;
      if (index === 10) void queue.submit(["alone".padEnd(32)], { signal: never, tenant: "alone" });
      (await run(index)).finish();
    }
    const position = runs.findIndex(({ items }) => items.some((item) => item.startsWith("alone")));
    expect(position).toBeGreaterThan(10);
    expect(position).toBeLessThanOrEqual(13);
  });

  it("tells the backlog of each tenant", () => {
    const { queue } = makeQueue();
    void queue.submit(["aaaa", "bbbb"], { signal: never, tenant: "large" });
    void queue.submit(["cccc"], { signal: never, tenant: "large" });
    void queue.submit(["dd"], { signal: never });
    expect(new Map(queue.backlog()).get("large")).toBe(12);
    expect(waitingTokens(queue)).toBe(14);
  });

  it("drops what waits for an aborted request, without touching its neighbours", async () => {
    const { queue, run } = makeQueue();
    const first = queue.submit(["a"], { signal: never });
    await run(0);
    const leaving = new AbortController();
    const left = queue.submit(["gone", "gone"], { signal: leaving.signal });
    const stays = queue.submit(["b"], { signal: never });
    leaving.abort(new Error("left"));
    await expect(left).rejects.toThrow("left");
    expect(waitingTokens(queue)).toBe(1);
    (await run(0)).finish();
    expect((await run(1)).items).toEqual(["b"]);
    (await run(1)).finish();
    expect(await first).toEqual(["A"]);
    expect(await stays).toEqual(["B"]);
  });

  it("aborts a running batch only when all its callers have left", async () => {
    const { queue, run } = makeQueue();
    const one = new AbortController();
    const other = new AbortController();
    const first = queue.submit(["a"], { signal: one.signal });
    const second = queue.submit(["b"], { signal: other.signal });
    const batch = await run(0);
    one.abort(new Error("one left"));
    await expect(first).rejects.toThrow("one left");
    expect(batch.signal.aborted).toBe(false);
    other.abort(new Error("other left"));
    await expect(second).rejects.toThrow("other left");
    expect(batch.signal.aborted).toBe(true);
    const third = queue.submit(["c"], { signal: never });
    (await run(1)).finish();
    expect(await third).toEqual(["C"]);
  });

  it("shares what waits among the batches that may run at the same time", async () => {
    const { queue, runs, run } = makeQueue(2);
    const items = Array.from({ length: 8 }, (_, i) => "abcdefgh"[i] ?? "").map((c) => c.repeat(4));
    const answer = queue.submit(items, { signal: never });
    const second = await run(1);
    expect(runs.map((each) => each.items.length)).toEqual([4, 4]);
    second.finish();
    (await run(0)).finish();
    expect(await answer).toEqual(items.map((item) => item.toUpperCase()));
    expect(queue.idle).toBe(true);
  });

  it("runs no more batches at the same time than it may", async () => {
    const { queue, runs, run } = makeQueue(2);
    const items = Array.from({ length: 8 }, () => "x".repeat(64));
    const answer = queue.submit(items, { signal: never });
    await run(1);
    expect(runs).toHaveLength(2);
    for (let i = 0; i < items.length; i += 1) (await run(i)).finish();
    expect(await answer).toHaveLength(8);
  });

  it("refuses a request that is aborted before it is submitted", async () => {
    const { queue } = makeQueue();
    const gone = queue.submit(["a"], { signal: AbortSignal.abort(new Error("gone")) });
    await expect(gone).rejects.toThrow("gone");
  });

  it("halves a batch that fails until the item at fault fails alone", async () => {
    const answers: (readonly string[])[] = [];
    const queue = makeSwiftQueue({
      lengthOf: () => 1,
      run: async (items) => {
        answers.push(items);
        if (items.includes("bad")) throw new Error("it was bad");
        return items;
      },
    });
    const items = ["a", "b", "bad", "c", "d"];
    const settled = await Promise.allSettled(
      items.map((item) => queue.submit([item], { signal: never })),
    );
    expect(settled.map((each) => (each.status === "fulfilled" ? each.value[0] : "failed"))).toEqual(
      ["a", "b", "failed", "c", "d"],
    );
    expect(answers[0]).toHaveLength(5);
  });

  it("reports progress of a caller whose items take several batches", async () => {
    const queue = makeSwiftQueue({ lengthOf: () => 16, run: async (items) => items });
    const progress: number[] = [];
    await queue.submit(
      Array.from({ length: 12 }, () => "x"),
      { signal: never, onProgress: (completed) => progress.push(completed) },
    );
    expect(progress).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });

  it("runs batches of all models side by side only in the slots they share", async () => {
    const { queue, another, runs, run } = makeQueue(2);
    const others = [queue, another(), another()];
    const answers = others.flatMap((each, index) => [
      each.submit([`${index}`.repeat(64)], { signal: never }),
      each.submit([`${index}`.repeat(63)], { signal: never }),
    ]);
    await run(1);
    expect(runs).toHaveLength(2);
    for (let index = 0; index < answers.length; index += 1) {
      (await run(index)).finish();
      expect(runs.length - index).toBeLessThanOrEqual(3);
    }
    expect(await Promise.all(answers)).toHaveLength(6);
  });

  it("serves models in the order in which their callers came", async () => {
    const { queue, another, runs, run } = makeQueue();
    const other = another();
    const first = queue.submit(["a"], { signal: never });
    await run(0);
    const second = other.submit(["o"], { signal: never });
    const third = queue.submit(["b"], { signal: never });
    for (const index of [0, 1, 2]) (await run(index)).finish();
    await Promise.all([first, second, third]);
    expect(runs.map(({ items }) => items)).toEqual([["a"], ["o"], ["b"]]);
  });

  it("serves a request for another model between the quanta of a large one", async () => {
    const { queue, another, runs, run } = makeQueue();
    const large = queue.submit(
      Array.from({ length: 64 }, (_, index) => `l${index % 10}`),
      { signal: never },
    );
    await run(0);
    const small = another().submit(["sm"], { signal: never });
    for (let index = 0; index < 9; index += 1) (await run(index)).finish();
    await Promise.all([small, large]);
    expect(runs.findIndex(({ items }) => items.includes("sm"))).toBeLessThanOrEqual(2);
  });

  it("puts a request whose wait is past its bound into the next batch, whatever the start tags", async () => {
    const { queue, clock, run, runs } = makeQueue();
    const large = queue.submit(
      Array.from({ length: 10 }, () => "x".repeat(40)),
      { signal: never },
    );
    // New requests start at the virtual time: without the bound, the large caller's third waits as long as they come.
    const newcomers = [];
    for (let index = 0; index < 16; index += 1) {
      await run(index);
      newcomers.push(queue.submit(["n".repeat(64)], { signal: never }));
      (await run(index)).finish();
    }
    const served = () => runs.filter(({ items }) => items[0]?.startsWith("x")).length;
    expect(served()).toBe(2);
    clock.now = policy.waitMsMax + 1;
    (await run(16)).finish();
    await run(17);
    expect(served()).toBe(3);
    for (let index = 17; index < 26; index += 1) (await run(index)).finish();
    await Promise.all([large, ...newcomers]);
  });

  it("gets one batch ready while others run, once what waits would fill it", async () => {
    const { queue, prepared, run } = makeQueue();
    const first = queue.submit(["a"], { signal: never });
    await run(0);
    const part = queue.submit(["b".repeat(60)], { signal: never });
    await new Promise((resolve) => setImmediate(resolve));
    expect(prepared).toHaveLength(1);
    const rest = queue.submit(["c".repeat(60)], { signal: never });
    await new Promise((resolve) => setImmediate(resolve));
    expect(prepared).toEqual([["a"], ["b".repeat(60)]]);
    expect(waitingTokens(queue)).toBe(60);
    for (const index of [0, 1, 2]) (await run(index)).finish();
    await Promise.all([first, part, rest]);
    expect(prepared).toHaveLength(3);
    expect(queue.idle).toBe(true);
  });

  it("drops a caller who left from a batch that is ready and has not started", async () => {
    const { queue, run, runs } = makeQueue();
    const first = queue.submit(["a"], { signal: never });
    await run(0);
    const leaving = new AbortController();
    const left = queue.submit(["g".repeat(32)], { signal: leaving.signal });
    const stays = queue.submit(["s".repeat(32)], { signal: never });
    await new Promise((resolve) => setImmediate(resolve));
    leaving.abort(new Error("left"));
    await expect(left).rejects.toThrow("left");
    (await run(0)).finish();
    expect((await run(1)).items).toEqual(["s".repeat(32)]);
    (await run(1)).finish();
    expect(await Promise.all([first, stays])).toHaveLength(2);
    expect(runs).toHaveLength(2);
  });

  it("goes on past a ready batch whose callers have all left", async () => {
    const { queue, run, runs } = makeQueue();
    const first = queue.submit(["a"], { signal: never });
    await run(0);
    const leaving = new AbortController();
    const left = queue.submit(["g".repeat(64)], { signal: leaving.signal });
    await new Promise((resolve) => setImmediate(resolve));
    const stays = queue.submit(["s"], { signal: never });
    leaving.abort(new Error("left"));
    await expect(left).rejects.toThrow("left");
    (await run(0)).finish();
    (await run(1)).finish();
    expect(await Promise.all([first, stays])).toEqual([["A"], ["S"]]);
    expect(runs.map(({ items }) => items)).toEqual([["a"], ["s"]]);
    expect(queue.idle).toBe(true);
  });

  it("drops a caller who left from what is left of a batch that failed", async () => {
    const { queue, run, runs } = makeQueue();
    const leaving = new AbortController();
    const stays = queue.submit(["a"], { signal: never });
    const left = queue.submit(["b"], { signal: leaving.signal });
    const batch = await run(0);
    leaving.abort(new Error("left"));
    await expect(left).rejects.toThrow("left");
    batch.fail(new Error("failed"));
    // The one that stays may not be at fault, and is tried again, alone.
    const again = await run(1);
    expect(again.items).toEqual(["a"]);
    again.finish();
    expect(await stays).toEqual(["A"]);
    expect(runs).toHaveLength(2);
  });
});
