/** Callers that hang up: the last to leave cancels, unless somebody can come back. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { call, embed, report, sent, started } from "./caller-and-worker.ts";
import { answerWith, fresh, getJob } from "./jobs-in-tests.ts";
import { openOutsideWorld, type OutsideWorld } from "./outside-world.ts";

let world: OutsideWorld;

beforeEach(() => {
  world = openOutsideWorld();
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a caller that hangs up", () => {
  it("cancels at once, and the worker is told", async () => {
    const controller = new AbortController();
    const response = embed(fresh(), { signal: controller.signal });
    const message = await sent(world);
    const before = await report(message.shard, [started(message)], [message.id]);
    expect(before.cancelled).toEqual([]);
    controller.abort();
    await response;
    await vi.waitFor(async () => {
      const { cancelled } = await report(message.shard, [], [message.id]);
      expect(cancelled).toEqual([message.id]);
    });
  });

  it("leaves the work to those who still wait", async () => {
    const text = fresh();
    const controller = new AbortController();
    const leaving = embed(text, { signal: controller.signal });
    const message = await sent(world);
    const staying = embed(text, { headers: { prefer: "respond-async, wait=60" } });
    // It has joined once its job is there; with that job cancelled, it still waits.
    await vi.waitFor(async () => expect((await getJob(message.id)).status).toBe(200));
    await call(`/v1/jobs/${message.id}/cancel`);
    controller.abort();
    await leaving;
    expect((await report(message.shard, [], [message.id])).cancelled).toEqual([]);
    await answerWith(message);
    expect((await staying).status).toBe(200);
    expect(world.messages).toHaveLength(1);
  });

  it("takes its job up again where no worker was told to give it up", async () => {
    const text = fresh();
    const controller = new AbortController();
    const leaving = embed(text, { signal: controller.signal });
    const message = await sent(world);
    controller.abort();
    await leaving;
    const again = embed(text, { headers: { prefer: "respond-async, wait=60" } });
    await vi.waitFor(async () => expect((await getJob(message.id)).status).toBe(200));
    expect((await report(message.shard, [started(message)])).cancelled).toEqual([]);
    await answerWith(message);
    expect((await again).status).toBe(200);
    expect(world.messages).toHaveLength(1);
  });

  it("asks again under a new id once a worker was told to give its job up", async () => {
    const text = fresh();
    const controller = new AbortController();
    const leaving = embed(text, { signal: controller.signal });
    const first = await sent(world);
    controller.abort();
    await leaving;
    await vi.waitFor(async () =>
      expect((await report(first.shard, [], [first.id])).cancelled).toEqual([first.id]),
    );
    const again = embed(text);
    const second = await sent(world, 1);
    expect(second.id).not.toBe(first.id);
    expect(second.inputs).toEqual(first.inputs);
    await answerWith(second);
    expect((await again).status).toBe(200);
  });

  it("does not cancel what it asked for with respond-async", async () => {
    const controller = new AbortController();
    const headers = { prefer: "respond-async, wait=60" };
    const response = embed(fresh(), { signal: controller.signal, headers });
    const message = await sent(world);
    controller.abort();
    await response;
    expect((await report(message.shard, [], [message.id])).cancelled).toEqual([]);
    await answerWith(message);
    expect((await getJob(message.id)).body).toMatchObject({ status: "succeeded" });
  });

  it("has ten seconds to come back where it said so", async () => {
    const text = fresh();
    const controller = new AbortController();
    const headers = { "x-resumable": "1" };
    const leaving = embed(text, { signal: controller.signal, headers });
    const message = await sent(world);
    controller.abort();
    await leaving;
    expect((await report(message.shard, [], [message.id])).cancelled).toEqual([]);
    const back = embed(text);
    await answerWith(message);
    expect((await back).status).toBe(200);
    expect(world.messages).toHaveLength(1);
  });
});
