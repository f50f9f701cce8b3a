/** Jobs whose workers fall silent: sent again once, then failed and refunded. The clock is the test's. */
import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobMessage } from "../../../contract/job-message.ts";
import { settingsOf } from "../../../edge/environment.ts";
import { shardStub } from "../../../edge/jobs/shard-stub.ts";
import { call, embed, report, sent, started, succeeded } from "./caller-and-worker.ts";
import { accepted, answerWith, fresh, getJob } from "./jobs-in-tests.ts";
import { openOutsideWorld, type OutsideWorld } from "./outside-world.ts";

const secondMs = 1_000;
const hourMs = 3_600 * secondMs;
const realNow = Date.now.bind(Date);

let world: OutsideWorld;
let aheadMs: number;

beforeEach(() => {
  world = openOutsideWorld();
  aheadMs = 0;
  vi.spyOn(Date, "now").mockImplementation(() => realNow() + aheadMs);
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** Lets time pass, and the shard's alarm ring. */
async function passes(ms: number, { shard }: JobMessage): Promise<void> {
  aheadMs += ms;
  await runDurableObjectAlarm(shardStub(env, shard));
}

const address = "203.0.113.78";

async function units(): Promise<number> {
  const { freeTier } = settingsOf(env);
  const { snapshot } = await env.QUOTA.getByName(`ip:${address}`).count(freeTier);
  return freeTier.unitsPerDay - snapshot.units.remaining;
}

/** A job that a worker has taken. */
async function taken() {
  const { id } = await accepted(fresh());
  const message = await sent(world);
  await report(message.shard, [started(message)], [message.id]);
  return { id, message };
}

/** How often a job's message was sent; shards are shared with the jobs of other tests. */
function sends({ id }: JobMessage): JobMessage[] {
  return world.messages.filter((message) => message.id === id);
}

function isSentAgain(message: JobMessage): Promise<void> {
  return vi.waitFor(() => expect(sends(message)).toEqual([message, message]));
}

describe("a job whose worker falls silent", () => {
  it("is sent again after three minutes, under the same id, and answered by the next", async () => {
    const { id, message } = await taken();
    await passes(181 * secondMs, message);
    await isSentAgain(message);
    await answerWith(message);
    expect((await getJob(id)).body).toMatchObject({ status: "succeeded" });
  });

  it("is left alone while a worker names it", async () => {
    const { message } = await taken();
    aheadMs += 170 * secondMs;
    await report(message.shard, [], [message.id]);
    await passes(170 * secondMs, message);
    expect(sends(message)).toHaveLength(1);
    await passes(20 * secondMs, message);
    await isSentAgain(message);
  });

  it("fails with worker_lost when it is silent again", async () => {
    const { id, message } = await taken();
    await passes(181 * secondMs, message);
    await isSentAgain(message);
    await passes(170 * secondMs, message);
    expect((await getJob(id)).body).toMatchObject({ status: "processing" });
    await passes(20 * secondMs, message);
    expect((await getJob(id)).body).toMatchObject({
      status: "failed",
      error: { code: "worker_lost" },
    });
    expect(sends(message)).toHaveLength(2);
    // Whoever comes back with it is told to leave it.
    expect((await report(message.shard, [], [message.id])).cancelled).toEqual([message.id]);
  });

  it("is found by a shard that was put away meanwhile", async () => {
    const { id, message } = await taken();
    await abortAllDurableObjects();
    await passes(181 * secondMs, message);
    await isSentAgain(message);
    await abortAllDurableObjects();
    await passes(181 * secondMs, message);
    expect((await getJob(id)).body).toMatchObject({ error: { code: "worker_lost" } });
  });

  it("is joined by nobody, who would share its end", async () => {
    const text = fresh();
    await accepted(text);
    const message = await sent(world);
    await report(message.shard, [started(message)]);
    aheadMs += 181 * secondMs;
    const other = embed(text);
    const second = await sent(world, 1);
    expect(second.id).not.toBe(message.id);
    await answerWith(second);
    expect((await other).status).toBe(200);
  });

  it("is refunded", async () => {
    const headers = { authorization: "Bearer anonymous", "cf-connecting-ip": address };
    await embed(fresh(), { headers: { ...headers, prefer: "respond-async" } });
    const message = await sent(world);
    await report(message.shard, [started(message)]);
    expect(await units()).toBeGreaterThan(0);
    await passes(181 * secondMs, message);
    await isSentAgain(message);
    await passes(181 * secondMs, message);
    await vi.waitFor(async () => expect(await units()).toBe(0));
  });

  it("is released where nobody wants it any more", async () => {
    const { id, message } = await taken();
    await call(`/v1/jobs/${id}/cancel`);
    await passes(181 * secondMs, message);
    expect(sends(message)).toHaveLength(1);
    const computations = await runInDurableObject(shardStub(env, message.shard), (_, { storage }) =>
      storage.sql.exec("SELECT id FROM computations WHERE id = ?", message.id).toArray(),
    );
    expect(computations).toEqual([]);
  });
});

describe("a job that no worker has named", () => {
  it("waits for as long as the queue keeps messages, then fails", async () => {
    const { id } = await accepted(fresh());
    const message = await sent(world);
    await passes(23 * hourMs, message);
    expect((await getJob(id)).body).toMatchObject({ status: "starting" });
    await passes(1.1 * hourMs, message);
    expect((await getJob(id)).body).toMatchObject({
      status: "failed",
      error: { code: "worker_lost" },
    });
    expect(sends(message)).toHaveLength(1);
  });
});

describe("a job that is worked on for days", () => {
  it("is not purged before it ends, and a day after its end", async () => {
    const { id, message } = await taken();
    for (let hours = 0; hours < 50; hours += 10) {
      aheadMs += 10 * hourMs - 60 * secondMs;
      await report(message.shard, [], [message.id]);
      await passes(60 * secondMs, message);
    }
    expect((await getJob(id)).body).toMatchObject({ status: "processing" });
    await report(message.shard, [succeeded(message)]);
    await passes(23 * hourMs, message);
    expect((await getJob(id)).body).toMatchObject({ status: "succeeded" });
    await passes(2 * hourMs, message);
    expect((await getJob(id)).status).toBe(404);
  });
});
