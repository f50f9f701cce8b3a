/** A retry that comes as its computation ends: it has a reservation of its own, or an answer that was paid for. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobMessage } from "../../../contract/job-message.ts";
import { settingsOf } from "../../../edge/environment.ts";
import { freshAddress } from "../caller.ts";
import { call, cancelled, embed, failed, report, sent, succeeded } from "./caller-and-worker.ts";
import { fresh } from "./jobs-in-tests.ts";
import { openOutsideWorld, type OutsideWorld } from "./outside-world.ts";

let world: OutsideWorld;

beforeEach(() => {
  world = openOutsideWorld();
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** A caller without a key, in whose books a settlement can be held back. */
function openCaller() {
  const address = freshAddress();
  const tenant = `ip:${address}`;
  const headers = { authorization: "Bearer anonymous", "cf-connecting-ip": address };
  const used = async () => {
    const { freeTier } = settingsOf(env);
    const limits = { ...freeTier, requestsPerMinute: 1_000_000 };
    const { snapshot } = await env.QUOTA.getByName(tenant).count(limits);
    return freeTier.unitsPerDay - snapshot.units.remaining;
  };
  return { tenant, headers, used };
}

/** Makes the reservation of a job look open again, as a retry finds it just before the settlement. */
async function reopen(message: JobMessage): Promise<void> {
  const { id: jobId, tenant, requestKey } = message;
  const limits = { ...settingsOf(env).freeTier, requestsPerMinute: 1_000_000 };
  await env.QUOTA.getByName(tenant).reserve({ jobId, requestKey, units: 5 }, limits);
}

describe("a retry whose reservation is closed under it", () => {
  it("is charged for what is computed for it, after the first caller left", async () => {
    const { headers, used } = openCaller();
    const text = fresh();
    const controller = new AbortController();
    const leaving = embed(text, { headers, signal: controller.signal });
    const first = await sent(world);
    controller.abort();
    await leaving;
    await vi.waitFor(async () => {
      const { cancelled: givenUp } = await report(first.shard, [], [first.id]);
      expect(givenUp).toEqual([first.id]);
    });
    await report(first.shard, [cancelled(first, 0)]);
    expect(await used()).toBe(0);
    await reopen(first);

    const retry = embed(text, { headers });
    const second = await sent(world, 1);
    expect(second.id).not.toBe(first.id);
    // The race ends: what the first had held is given back.
    await env.QUOTA.getByName(first.tenant).settle(first.id, 0);
    expect(await used()).toBeGreaterThan(0);
    await report(second.shard, [succeeded(second)]);
    expect((await retry).status).toBe(200);
    expect(await used()).toBe(7);
  });

  it("is charged for what is computed for it, after the first one failed", async () => {
    const { headers, used } = openCaller();
    const text = fresh();
    const failing = embed(text, { headers });
    const first = await sent(world);
    await report(first.shard, [failed(first)]);
    expect((await failing).status).toBe(400);
    await reopen(first);

    const retry = embed(text, { headers });
    const second = await sent(world, 1);
    expect(second.id).not.toBe(first.id);
    await env.QUOTA.getByName(first.tenant).settle(first.id, 0);
    await report(second.shard, [succeeded(second)]);
    expect((await retry).status).toBe(200);
    expect(await used()).toBe(7);
  });

  it("is charged once where both wait for the same computation", async () => {
    const { headers, used } = openCaller();
    const text = fresh();
    const controller = new AbortController();
    const leaving = embed(text, { headers, signal: controller.signal });
    const message = await sent(world);
    const staying = embed(text, { headers: { ...headers, prefer: "respond-async, wait=60" } });
    await vi.waitFor(async () => {
      const job = await call(`/v1/jobs/${message.id}`, { method: "GET", headers });
      expect(job.status).toBe(200);
    });
    controller.abort();
    await leaving;
    await report(message.shard, [succeeded(message)]);
    expect((await staying).status).toBe(200);
    expect(world.messages).toHaveLength(1);
    expect(await used()).toBe(7);
  });
});

describe("the same request again, a moment after its answer", () => {
  it("is a hit, at no cost", async () => {
    const { headers, used } = openCaller();
    const text = fresh();
    const asked = embed(text, { headers });
    const first = await sent(world);
    await report(first.shard, [succeeded(first)]);
    expect((await asked).status).toBe(200);
    expect(await used()).toBe(7);

    const again = await embed(text, { headers });
    expect({ status: again.status, cache: again.headers.get("x-cache") }).toEqual({
      status: 200,
      cache: "hit",
    });
    expect(world.messages).toHaveLength(1);
    expect(await used()).toBe(7);
  });
});
