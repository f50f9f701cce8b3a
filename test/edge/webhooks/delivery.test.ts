/**
 * Events on their way to an endpoint: once each, signed, again after a failure by the object's alarm, across restarts.
 */
import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { shardOfJobId } from "../../../contract/job-id.ts";
import { settingsOf } from "../../../edge/environment.ts";
import { shardStub } from "../../../edge/jobs/shard-stub.ts";
import {
  call,
  embed,
  failed,
  report,
  sent,
  started,
  succeeded,
} from "../jobs/caller-and-worker.ts";
import { answerWith, fresh, getJob } from "../jobs/jobs-in-tests.ts";
import { type Hook, openOutsideWorld, type OutsideWorld } from "../jobs/outside-world.ts";

const url = "https://receiver.example.com/hook";
let world: OutsideWorld;

beforeEach(() => {
  world = openOutsideWorld();
});

afterEach(() => {
  vi.restoreAllMocks();
});

type Told = { id: string; secret: string };

async function askToBeTold(events?: string[]): Promise<Told> {
  const more = { webhook: url, ...(events === undefined ? {} : { webhook_events_filter: events }) };
  const response = await embed(fresh(), { headers: { prefer: "respond-async" }, more });
  expect(response.status).toBe(202);
  const body: Record<string, string> = await response.json();
  return { id: body["id"] ?? "", secret: body["webhook_secret"] ?? "" };
}

function shardOf(id: string) {
  return shardStub(env, shardOfJobId(id) ?? 0);
}

/** Makes whatever is owed due now, and lets the alarm ring. */
async function ring(id: string): Promise<void> {
  await runInDurableObject(shardOf(id), async (_, { storage }) => {
    storage.sql.exec("UPDATE deliveries SET due_at = 0 WHERE due_at IS NOT NULL");
    await storage.setAlarm(Date.now() + 3_600_000);
  });
  await runDurableObjectAlarm(shardOf(id));
}

async function pauseSeconds(id: string): Promise<number | null> {
  return runInDurableObject(shardOf(id), (_, { storage }) => {
    const { due } = storage.sql
      .exec<{ due: number | null }>("SELECT min(due_at) AS due FROM deliveries")
      .one();
    return due === null ? null : Math.round((due - Date.now()) / 1_000);
  });
}

function verified({ body, headers }: Hook, secret: string) {
  return new Webhook(secret).verify(body, Object.fromEntries(headers));
}

async function told(count: number): Promise<Hook> {
  return vi.waitFor(() => {
    const hook = world.hooks[count - 1];
    if (hook === undefined) throw new Error(`${world.hooks.length} deliveries`);
    return hook;
  });
}

describe("a webhook", () => {
  it("is told of the end, once, signed with the secret of the 202 body", async () => {
    const { id, secret } = await askToBeTold();
    await answerWith(await sent(world));
    const hook = await told(1);
    expect(hook.url).toBe(url);
    expect(hook.headers.get("webhook-id")).toMatch(/^msg_[0-9a-f]{32}$/);
    const event = verified(hook, secret);
    const { body: job } = await getJob(id);
    expect(event).toEqual({ type: "job.completed", timestamp: expect.any(String), data: job });
    expect(job).toMatchObject({ id, status: "succeeded", output: { object: "list" } });
    await ring(id);
    expect(world.hooks).toHaveLength(1);
    expect(() => verified({ ...hook, body: `${hook.body} ` }, secret)).toThrow();
  });

  it("is told of what it asked for: start, output and completed", async () => {
    const { id, secret } = await askToBeTold(["start", "output", "completed"]);
    const message = await sent(world);
    await report(message.shard, [started(message)]);
    const start = verified(await told(1), secret);
    expect(start).toMatchObject({
      type: "job.start",
      data: { id, status: "processing", output: null },
    });
    await report(message.shard, [started(message), succeeded(message)]);
    await told(3);
    const types = world.hooks.map((hook) => JSON.parse(hook.body).type);
    expect(types.toSorted()).toEqual(["job.completed", "job.output", "job.start"]);
    expect(new Set(world.hooks.map(({ headers }) => headers.get("webhook-id"))).size).toBe(3);
  });

  it("is told of the start of a job that ended before its first report, one event after another", async () => {
    let underWay = 0;
    let underWayMost = 0;
    world.answerHook = async () => {
      underWay += 1;
      underWayMost = Math.max(underWayMost, underWay);
      await new Promise((resolve) => setTimeout(resolve));
      underWay -= 1;
      return new Response(null, { status: 200 });
    };
    const { id, secret } = await askToBeTold(["start", "output", "completed"]);
    const message = await sent(world);
    await report(message.shard, [succeeded(message)]);
    await told(3);
    expect(world.hooks.map((hook) => verified(hook, secret))).toMatchObject([
      { type: "job.start", data: { id, status: "processing", output: null } },
      { type: "job.output", data: { id, status: "succeeded" } },
      { type: "job.completed", data: { id, status: "succeeded" } },
    ]);
    expect(underWayMost).toBe(1);
  });

  it("is told of the start of a job that failed before its first report", async () => {
    const { secret } = await askToBeTold(["start", "output", "completed"]);
    const message = await sent(world);
    await report(message.shard, [failed(message)]);
    await told(2);
    expect(world.hooks.map((hook) => verified(hook, secret))).toMatchObject([
      { type: "job.start", data: { status: "processing", error: null } },
      { type: "job.completed", data: { status: "failed" } },
    ]);
  });

  it("is told of the rest although it did not take the start", async () => {
    world.answerHook = (_, count) => new Response(null, { status: count === 1 ? 500 : 200 });
    const { id } = await askToBeTold(["start", "completed"]);
    const message = await sent(world);
    await report(message.shard, [started(message), succeeded(message)]);
    await told(2);
    await ring(id);
    await told(3);
    const types = world.hooks.map((hook) => JSON.parse(hook.body).type);
    expect(types).toEqual(["job.start", "job.completed", "job.start"]);
  });

  it("is told of a cancellation", async () => {
    const { id, secret } = await askToBeTold();
    await sent(world);
    await call(`/v1/jobs/${id}/cancel`);
    expect(verified(await told(1), secret)).toMatchObject({
      type: "job.completed",
      data: { id, status: "canceled", output: null },
    });
  });

  it("is tried again on schedule, the same event by the same id, until it answers", async () => {
    world.answerHook = (_, count) => new Response(null, { status: count < 3 ? 500 : 204 });
    const { id, secret } = await askToBeTold();
    await answerWith(await sent(world));
    await told(1);
    const [, second, third] = settingsOf(env).webhookRetrySeconds;
    await vi.waitFor(async () => expect(await pauseSeconds(id)).toBe(second));
    await abortAllDurableObjects();
    await ring(id);
    await told(2);
    expect(await pauseSeconds(id)).toBe(third);
    await ring(id);
    await told(3);
    expect(await pauseSeconds(id)).toBeNull();
    await ring(id);
    expect(world.hooks).toHaveLength(3);
    for (const hook of world.hooks) verified(hook, secret);
    expect(new Set(world.hooks.map(({ headers }) => headers.get("webhook-id"))).size).toBe(1);
    expect(new Set(world.hooks.map(({ body }) => body)).size).toBe(1);
  });

  it("is given up after the last try", async () => {
    world.answerHook = () => new Response(null, { status: 302, headers: { location: url } });
    const { id } = await askToBeTold();
    await answerWith(await sent(world));
    const tries = settingsOf(env).webhookRetrySeconds.length;
    for (let i = 1; i <= tries; i += 1) {
      await told(i);
      await ring(id);
    }
    expect(world.hooks).toHaveLength(tries);
    expect(await pauseSeconds(id)).toBeNull();
  });

  it("hears nothing more once it answered 410", async () => {
    world.answerHook = () => new Response(null, { status: 410 });
    const { id } = await askToBeTold(["start", "completed"]);
    const message = await sent(world);
    await report(message.shard, [started(message)]);
    await told(1);
    await vi.waitFor(async () => expect(await pauseSeconds(id)).toBeNull());
    await report(message.shard, [succeeded(message)]);
    await ring(id);
    expect(world.hooks).toHaveLength(1);
  });

  it.each(["http://169.254.169.254/", "https://2130706433/", "https://localhost/"])(
    "is refused for %s before anything is admitted",
    async (webhook) => {
      const headers = { prefer: "respond-async" };
      const response = await embed(fresh(), { headers, more: { webhook } });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({
        error: { code: "invalid_value", param: "webhook" },
      });
      expect(world.messages).toEqual([]);
    },
  );

  it("is refused for a call that waits", async () => {
    const response = await embed(fresh(), { more: { webhook: url } });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain("respond-async");
  });
});

describe("a job's day", () => {
  it("lasts until its webhook was told, or given up", async () => {
    world.answerHook = () => new Response(null, { status: 500 });
    const { id } = await askToBeTold();
    await answerWith(await sent(world));
    await told(1);
    await vi.waitFor(async () => expect(await pauseSeconds(id)).toBe(5));
    await runInDurableObject(shardOf(id), async (_, { storage }) => {
      const days = 3 * 86_400_000;
      storage.sql.exec("UPDATE jobs SET finished_at = finished_at - ? WHERE id = ?", days, id);
      storage.sql.exec("UPDATE deliveries SET due_at = due_at + 3600000 WHERE job_id = ?", id);
      await storage.setAlarm(Date.now() + 3_600_000);
    });
    await runDurableObjectAlarm(shardOf(id));
    expect((await getJob(id)).status).toBe(200);
    const nextAlarm = await runInDurableObject(shardOf(id), (_, { storage }) => storage.getAlarm());
    expect(nextAlarm).toBeGreaterThan(Date.now() + 60_000);
    world.answerHook = () => new Response(null, { status: 200 });
    await ring(id);
    expect(world.hooks).toHaveLength(2);
    const ids = world.hooks.map(({ headers }) => headers.get("webhook-id"));
    expect(new Set(ids).size).toBe(1);
    expect((await getJob(id)).status).toBe(404);
  });

  it("ends by the alarm: the job and what was owed for it are gone", async () => {
    const { id } = await askToBeTold();
    await answerWith(await sent(world));
    await told(1);
    await runInDurableObject(shardOf(id), (_, { storage }) => {
      const yesterday = Date.now() - 86_400_000 - 60_000;
      storage.sql.exec("UPDATE jobs SET finished_at = ? WHERE id = ?", yesterday, id);
    });
    await ring(id);
    expect((await getJob(id)).status).toBe(404);
    const left = await runInDurableObject(shardOf(id), (_, { storage }) =>
      storage.sql.exec("SELECT id FROM deliveries WHERE job_id = ?", id).toArray(),
    );
    expect(left).toEqual([]);
  });
});
