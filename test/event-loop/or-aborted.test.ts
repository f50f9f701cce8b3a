import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { orAborted } from "../../gpu-worker/event-loop/or-aborted.ts";
import { whenAborted } from "../../gpu-worker/event-loop/when-aborted.ts";

const listenersOf = (signal: AbortSignal) => getEventListeners(signal, "abort").length;

describe("orAborted", () => {
  it("gives what the work gives or throws, and leaves no listener behind", async () => {
    const { signal } = new AbortController();
    expect(await orAborted(Promise.resolve(3), signal)).toBe(3);
    await expect(orAborted(Promise.reject(new Error("lost")), signal)).rejects.toThrow("lost");
    await new Promise(setImmediate);
    expect(listenersOf(signal)).toBe(0);
  });

  it("rejects with the signal's reason while the work goes on, whose failure then is no matter", async () => {
    const controller = new AbortController();
    const work = Promise.withResolvers<number>();
    const waiting = orAborted(work.promise, controller.signal);
    controller.abort(new Error("left"));
    await expect(waiting).rejects.toThrow("left");
    work.reject(new Error("lost"));
    await expect(orAborted(Promise.resolve(3), controller.signal)).rejects.toThrow("left");
  });
});

describe("whenAborted", () => {
  it("resolves when the signal aborts, and where it has", async () => {
    const controller = new AbortController();
    const waiting = whenAborted(controller.signal);
    controller.abort();
    await waiting;
    await whenAborted(controller.signal);
  });
});
