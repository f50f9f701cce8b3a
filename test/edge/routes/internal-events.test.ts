/** What workers post: what is refused, and what is charged for. */
import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobMessage } from "../../../contract/job-message.ts";
import { settingsOf } from "../../../edge/environment.ts";
import { call, embed, failed, postAsWorker, report, sent } from "../jobs/caller-and-worker.ts";
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
    [
      "an unknown event",
      JSON.stringify({ worker: "w", events: [{ type: "exploded" }], inFlight: [] }),
      400,
    ],
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

const anonymous = { authorization: "Bearer anonymous", "cf-connecting-ip": "203.0.113.77" };

async function ask(end: (message: JobMessage) => Promise<unknown>, signal?: AbortSignal) {
  const index = world.messages.length;
  const headers = { ...anonymous, "cache-control": "no-store" };
  const response = embed(fresh(), { headers, ...(signal === undefined ? {} : { signal }) });
  await end(await sent(world, index));
  return response;
}

async function unitsCharged(): Promise<number> {
  const { freeTier } = settingsOf(env);
  const { snapshot } = await env.QUOTA.getByName("ip:203.0.113.77").count(freeTier);
  return freeTier.unitsPerDay - snapshot.units.remaining;
}

describe("a caller of the free tier", () => {
  it("is charged what was read, once, and nothing for what failed or was left", async () => {
    const controller = new AbortController();
    await ask(async (message) => {
      await answerWith(message);
      await answerWith(message);
    });
    await ask((message) => report(message.shard, [failed(message)]));
    await ask(async () => controller.abort(), controller.signal);
    await vi.waitFor(async () => expect(await unitsCharged()).toBe(7));
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
