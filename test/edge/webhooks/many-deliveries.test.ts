/** Many deliveries at once: slow endpoints delay nobody else, and what became of each can be read. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { shardStub } from "../../../edge/jobs/shard-stub.ts";
import { call, embed, report, sent, succeeded } from "../jobs/caller-and-worker.ts";
import { accepted, answerWith, fresh } from "../jobs/jobs-in-tests.ts";
import { openOutsideWorld, type OutsideWorld } from "../jobs/outside-world.ts";

const slow = "https://slow.example.com/hook";
const quick = "https://quick.example.com/hook";
let world: OutsideWorld;

beforeEach(() => {
  world = openOutsideWorld();
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** All jobs on one shard. @returns its id */
async function askToBeTold(webhook: string): Promise<string> {
  const response = await embed(fresh(), {
    headers: { prefer: "respond-async" },
    more: { webhook },
    bindings: { SHARDS: "1" },
  });
  expect(response.status).toBe(202);
  return (await response.json<{ id: string }>()).id;
}

async function ring(): Promise<void> {
  await runInDurableObject(shardStub(env, 0), async (_, { storage }) => {
    storage.sql.exec("UPDATE deliveries SET due_at = 0 WHERE due_at IS NOT NULL");
    await storage.setAlarm(Date.now() + 3_600_000);
  });
  await runDurableObjectAlarm(shardStub(env, 0));
}

type Attempt = { at: number; status: number | null; error: string | null };
type Log = { id: string; status: string; tries: number; attempts: Attempt[] } & {
  event: string;
  url: string;
  next_try_at: number | null;
};

async function deliveriesOf(id: string): Promise<Log[]> {
  const response = await call(`/v1/jobs/${id}/deliveries`, { method: "GET" });
  expect(response.status).toBe(200);
  const { object, data } = await response.json<{ object: string; data: Log[] }>();
  expect(object).toBe("list");
  return data;
}

describe("a slow endpoint", () => {
  it("has four tries at once, and delays nobody else, however much is due to it", async () => {
    let held = 0;
    let heldMost = 0;
    let released = 0;
    world.answerHook = async (hook) => {
      if (hook.url !== slow) return new Response(null, { status: 200 });
      held += 1;
      heldMost = Math.max(heldMost, held);
      // Looked for from here: a shard hears nothing from the test.
      await vi.waitUntil(() => released > 0, { timeout: 60_000, interval: 5 });
      released -= 1;
      held -= 1;
      return new Response(null, { status: 200 });
    };
    const told = (url: string) => world.hooks.filter((hook) => hook.url === url).length;
    const slowJobs = 30;
    for (let index = 0; index < slowJobs; index += 1) await askToBeTold(slow);
    const quickJobs = [await askToBeTold(quick), await askToBeTold(quick)];
    await sent(world, slowJobs + quickJobs.length - 1);
    await report(
      0,
      world.messages.map((message) => succeeded(message)),
    );
    await vi.waitFor(() => expect(told(quick)).toBe(quickJobs.length));
    // Due while all slots of the slow one are taken.
    await askToBeTold(quick);
    await report(0, [succeeded(await sent(world, slowJobs + quickJobs.length))]);
    await vi.waitFor(() => expect(told(quick)).toBe(quickJobs.length + 1));
    expect(told(slow)).toBe(4);
    // A slot that frees takes the next.
    released = 1;
    await vi.waitFor(() => expect(told(slow)).toBe(5));
    released = slowJobs;
    await vi.waitFor(() => expect(told(slow)).toBe(slowJobs), 60_000);
    expect(heldMost).toBe(4);
  });
});

describe("the log of deliveries", () => {
  it("tells its owner of each event what its tries met", async () => {
    world.answerHook = (_, count) => {
      if (count === 2) throw new Error("connection refused");
      return new Response(null, { status: count < 3 ? 500 : 204 });
    };
    const id = await askToBeTold(quick);
    await answerWith(await sent(world));
    await vi.waitFor(async () => expect(await deliveriesOf(id)).toMatchObject([{ tries: 1 }]));
    const [first] = await deliveriesOf(id);
    expect(first).toEqual({
      id: expect.stringMatching(/^msg_/),
      object: "webhook.delivery",
      event: "job.completed",
      url: quick,
      status: "pending",
      tries: 1,
      created_at: expect.any(Number),
      next_try_at: expect.any(Number),
      attempts: [{ at: expect.any(Number), status: 500, error: null }],
    });
    await ring();
    await ring();
    expect(await deliveriesOf(id)).toMatchObject([
      {
        id: first?.id,
        status: "delivered",
        tries: 3,
        next_try_at: null,
        attempts: [
          { status: 500, error: null },
          { status: null, error: expect.stringContaining("connection refused") },
          { status: 204, error: null },
        ],
      },
    ]);
    expect(new Set(world.hooks.map(({ headers }) => headers.get("webhook-id")))).toEqual(
      new Set([first?.id]),
    );
  });

  it("is empty for a job without a webhook, and hidden from anybody else", async () => {
    const { id } = await accepted(fresh());
    expect(await deliveriesOf(id)).toEqual([]);
    const headers = { authorization: "Bearer anonymous" };
    const other = await call(`/v1/jobs/${id}/deliveries`, { method: "GET", headers });
    expect(other.status).toBe(404);
  });

  it("counts no try that the platform's own bound kept from being made", async () => {
    world.answerHook = () => {
      throw new Error("Too many subrequests.");
    };
    const id = await askToBeTold(quick);
    await answerWith(await sent(world));
    await vi.waitFor(() => expect(world.hooks.length).toBeGreaterThan(0));
    expect(await deliveriesOf(id)).toMatchObject([{ status: "pending", tries: 0, attempts: [] }]);
    world.answerHook = () => new Response(null, { status: 200 });
    await vi.waitFor(async () => expect(await deliveriesOf(id)).toMatchObject([{ tries: 1 }]));
  });
});
