/** Turns, and who leaves the line. */
import { describe, expect, it } from "vitest";
import { createRunQueue } from "../../gpu-worker/runtime/run-queue.ts";

describe("the run queue", () => {
  it("runs one at a time, in order, past what fails", async () => {
    const queue = createRunQueue(1);
    const events: string[] = [];
    const work = (name: string) => async () => {
      events.push(`${name} begins`);
      await Promise.resolve();
      events.push(`${name} ends`);
      if (name === "b") throw new Error("b failed");
      return name;
    };
    const all = await Promise.allSettled(["a", "b", "c"].map((name) => queue.run(work(name))));
    expect(all.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(events).toEqual(["a", "b", "c"].flatMap((name) => [`${name} begins`, `${name} ends`]));
  });

  it("lets whoever is aborted leave at once, without letting the next in early", async () => {
    const queue = createRunQueue(1);
    const gate = Promise.withResolvers<void>();
    const controller = new AbortController();
    const started: string[] = [];
    const note = (name: string) => async () => void started.push(name);
    const first = queue.run(() => gate.promise);
    const second = queue.run(note("second"), controller.signal);
    const third = queue.run(note("third"));
    controller.abort(new Error("left"));
    await expect(second).rejects.toThrow("left");
    expect(started).toEqual([]);
    gate.resolve();
    await Promise.all([first, third]);
    expect(started).toEqual(["third"]);
  });

  it("starts nothing whose signal is aborted, whatever the moment", async () => {
    const startedAborted: number[] = [];
    for (let ticks = 0; ticks < 20; ticks++) {
      const queue = createRunQueue(1);
      const controller = new AbortController();
      const { signal } = controller;
      const work = async () => void (signal.aborted && startedAborted.push(ticks));
      const first = queue.run(async () => {});
      const second = queue.run(work, signal).catch(() => {});
      for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
      controller.abort();
      await Promise.all([first, second]);
    }
    expect(startedAborted).toEqual([]);
  });

  it("runs as many at a time as it is wide, and what must be alone after all before it", async () => {
    const queue = createRunQueue(2);
    const gates = [0, 1, 2].map(() => Promise.withResolvers<void>());
    const events: string[] = [];
    const running = gates.map((gate, i) =>
      queue.run(async () => {
        events.push(`${i} begins`);
        await gate.promise;
        events.push(`${i} ends`);
      }),
    );
    const alone = queue.runAlone(async () => void events.push("alone"));
    const later = queue.run(async () => void events.push("later"));
    await Promise.resolve();
    expect(events).toEqual(["0 begins", "1 begins"]);
    for (const gate of gates.toReversed()) gate.resolve();
    await Promise.all([...running, alone, later]);
    expect(events.slice(-2)).toEqual(["alone", "later"]);
    expect(events.filter((event) => event.endsWith("ends"))).toHaveLength(3);
  });
});
