/** What workers post: what is refused, and what is charged for. */
import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobEvent } from "../../../contract/events.ts";
import type { JobMessage } from "../../../contract/job-message.ts";
import { settingsOf } from "../../../edge/environment.ts";
import { TenantQuota } from "../../../edge/accounts/tenant-quota.ts";
import {
  call,
  cancelled,
  embed,
  failed,
  postAsWorker,
  report,
  resultOf,
  sent,
  succeeded,
} from "../jobs/caller-and-worker.ts";
import { answerWith, fresh } from "../jobs/jobs-in-tests.ts";
import { openOutsideWorld, type OutsideWorld } from "../jobs/outside-world.ts";

let world: OutsideWorld;

beforeEach(() => {
  world = openOutsideWorld();
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("what a worker posts", () => {
  it.each([
    ["no JSON", "{", 400],
    ["another shape", JSON.stringify({ worker: "w" }), 400],
    ["a job id of another form", JSON.stringify({ worker: "w", events: [], inFlight: ["x"] }), 400],
  ])("is refused with %s", async (_, body, status) => {
    expect((await postAsWorker("/internal/shards/1/events", body)).status).toBe(status);
  });

  it("is refused for no shard", async () => {
    const body = JSON.stringify({ worker: "w", events: [], inFlight: [] });
    expect((await postAsWorker("/internal/shards/x/events", body)).status).toBe(404);
  });

  it("is refused without a signature", async () => {
    const response = await call("/internal/shards/1/events", {
      body: { worker: "w", events: [], inFlight: [] },
    });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ error: { code: "invalid_api_key" } });
  });

  it("is accepted with keys a later version may add", async () => {
    const body = JSON.stringify({ worker: "w", events: [], inFlight: [], addedLater: 1 });
    expect((await postAsWorker("/internal/shards/1/events", body)).status).toBe(200);
  });
});

/** The same isolate serves route and objects, so what fails is decided here. */
function failFor(bad: string) {
  return vi.spyOn(TenantQuota.prototype, "settle").mockImplementation(function (
    this: TenantQuota,
    jobId: string,
    units: number,
  ) {
    if (jobId === bad) return Promise.reject(new Error("the object is moving"));
    return settleAsEver.call(this, jobId, units);
  });
}
const settleAsEver = TenantQuota.prototype.settle;

describe("a group of events", () => {
  it("is carried out but for the one that is none, which is refused by its place", async () => {
    const response = embed(fresh());
    const message = await sent(world);
    const events = [{ type: "exploded" }, succeeded(message)];
    const body = JSON.stringify({ worker: "w", events, inFlight: [] });
    const answered = await postAsWorker(`/internal/shards/${message.shard}/events`, body);
    expect(answered.status).toBe(200);
    expect(await answered.json()).toEqual({
      acked: [{ jobId: message.id, sequence: 2 }],
      cancelled: [],
      refused: [{ index: 0, reason: expect.stringContaining("type") }],
    });
    expect((await response).status).toBe(200);
  });

  it("is acknowledged but for the one whose settlement failed, which is settled when it comes again", async () => {
    const before = await unitsCharged();
    const options = { headers: { ...anonymous, "cache-control": "no-store" } };
    const responses = [embed(fresh(), options), embed(fresh(), options)];
    const messages = [await sent(world, 0), await sent(world, 1)];
    const [bad, good] = messages;
    if (bad === undefined || good === undefined) throw new Error("two were sent");
    const spy = failFor(bad.id);
    // A shard takes an event of a job that it does not know, too.
    const { acked } = await report(bad.shard, [succeeded(bad), succeeded(good)]);
    expect(acked).toEqual([{ jobId: good.id, sequence: 2 }]);
    await report(good.shard, [succeeded(good)]);
    expect((await Promise.all(responses)).map(({ status }) => status)).toEqual([200, 200]);
    spy.mockRestore();
    const again = await report(bad.shard, [succeeded(bad)]);
    expect(again.acked).toEqual([{ jobId: bad.id, sequence: 2 }]);
    expect(await unitsCharged()).toBe(before + 14);
  });

  it("is acknowledged although the cache takes nothing", async () => {
    const response = embed(fresh());
    const message = await sent(world);
    const put = vi.spyOn(env.CACHE, "put").mockRejectedValue(new Error("1000 writes a day"));
    const { acked } = await report(message.shard, [succeeded(message)]);
    expect(put).toHaveBeenCalled();
    expect(acked).toEqual([{ jobId: message.id, sequence: 2 }]);
    expect((await response).status).toBe(200);
  });
});

const anonymous = { authorization: "Bearer anonymous", "cf-connecting-ip": "203.0.113.77" };

async function ask(end: (message: JobMessage) => Promise<unknown>, signal?: AbortSignal) {
  const index = world.messages.length;
  const headers = { ...anonymous, "cache-control": "no-store" };
  const response = embed(fresh(), { headers, ...(signal === undefined ? {} : { signal }) });
  await end(await sent(world, index));
  return response;
}

/** A call whose caller hangs up, and what its worker says when it has heard of that. */
async function leave(end: (message: JobMessage) => JobEvent): Promise<JobMessage> {
  const controller = new AbortController();
  const index = world.messages.length;
  const response = embed(fresh(), { headers: anonymous, signal: controller.signal });
  const message = await sent(world, index);
  controller.abort();
  await response;
  await vi.waitFor(async () =>
    expect((await report(message.shard, [], [message.id])).cancelled).toEqual([message.id]),
  );
  const { acked } = await report(message.shard, [end(message)]);
  expect(acked).toHaveLength(1);
  return message;
}

async function unitsCharged(): Promise<number> {
  const { freeTier } = settingsOf(env);
  const { snapshot } = await env.QUOTA.getByName("ip:203.0.113.77").count(freeTier);
  return freeTier.unitsPerDay - snapshot.units.remaining;
}

describe("a caller of the free tier", () => {
  it("is charged what was read, once, and nothing for what failed", async () => {
    const before = await unitsCharged();
    await ask(async (message) => {
      await answerWith(message);
      await answerWith(message);
    });
    await ask((message) => report(message.shard, [failed(message)]));
    await vi.waitFor(async () => expect(await unitsCharged()).toBe(before + 7));
  });

  it("is charged for what it left by what a worker took of it, and the result is for nobody", async () => {
    const before = await unitsCharged();
    // Given up before it ran, and after five tokens; computed before the worker heard of it.
    await leave((message) => cancelled(message, 0));
    expect(await unitsCharged()).toBe(before);
    await leave((message) => cancelled(message, 5));
    expect(await unitsCharged()).toBe(before + 5);
    const done = await leave((message) => succeeded(message));
    expect(await unitsCharged()).toBe(before + 12);
    const { modelDigest } = resultOf(done);
    expect(await env.CACHE.get(`${done.requestKey}:${modelDigest}`)).toBeNull();
  });

  it("is charged for both where it asks again while a worker gives its job up", async () => {
    const before = await unitsCharged();
    const text = fresh();
    const controller = new AbortController();
    const left = embed(text, { headers: anonymous, signal: controller.signal });
    const first = await sent(world);
    controller.abort();
    await left;
    await vi.waitFor(async () =>
      expect((await report(first.shard, [], [first.id])).cancelled).toEqual([first.id]),
    );
    // Its reservation is open until the worker's word, and not for another computation.
    const again = embed(text, { headers: anonymous });
    const second = await sent(world, 1);
    expect(second.id).not.toBe(first.id);
    await report(first.shard, [cancelled(first, 3)]);
    await answerWith(second);
    expect((await again).status).toBe(200);
    expect(await unitsCharged()).toBe(before + 10);
  });

  it("is charged nothing for what it left before it was sent", async () => {
    const before = await unitsCharged();
    world.queueIsUp = false;
    const controller = new AbortController();
    const response = embed(fresh(), { headers: anonymous, signal: controller.signal });
    await vi.waitFor(() => expect(world.sendsRefused).toBeGreaterThan(0));
    controller.abort();
    await response;
    await vi.waitFor(async () => expect(await unitsCharged()).toBe(before));
  });

  it("is charged nothing for what was never sent although its quota object was away for a moment", async () => {
    const before = await unitsCharged();
    world.queueIsUp = false;
    const controller = new AbortController();
    const response = embed(fresh(), { headers: anonymous, signal: controller.signal });
    await vi.waitFor(() => expect(world.sendsRefused).toBeGreaterThan(0));
    const settling = vi.spyOn(TenantQuota.prototype, "settle");
    settling.mockRejectedValueOnce(new Error("the object is moving"));
    controller.abort();
    await response;
    await vi.waitFor(async () => expect(await unitsCharged()).toBe(before), { timeout: 60_000 });
    expect(settling.mock.calls.length).toBeGreaterThan(1);
  });

  it("is charged for what it sent wrong by what was read of it, never for a fault of ours", async () => {
    const before = await unitsCharged();
    const usage = { promptTokens: 9 };
    await ask((message) => report(message.shard, [failed(message, 2, { usage })]));
    expect(await unitsCharged()).toBe(before + 9);
    const error = { code: "internal_error", message: "ours", param: null } as const;
    await ask((message) => report(message.shard, [failed(message, 2, { usage, error })]));
    expect(await unitsCharged()).toBe(before + 9);
  });

  it("is charged once where the shard was struck down under the call, and gets its answer", async () => {
    const before = await unitsCharged();
    const response = embed(fresh(), { headers: anonymous });
    const first = await sent(world);
    await abortAllDurableObjects();
    const second = await sent(world, 1);
    expect(second.id).toBe(first.id);
    await answerWith(first);
    expect((await response).status).toBe(200);
    await answerWith(second);
    expect(await unitsCharged()).toBe(before + 7);
  });
});
