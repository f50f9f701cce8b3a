/** `Prefer`, the Job object, and cancellation by its owner. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobEvent } from "../../../contract/events.ts";
import { shardStub } from "../../../edge/jobs/shard-stub.ts";
import { call, embed, failed, report, sent, started, succeeded } from "./caller-and-worker.ts";
import { accepted, answerWith, fresh, getJob } from "./jobs-in-tests.ts";
import { openOutsideWorld, type OutsideWorld } from "./outside-world.ts";

let world: OutsideWorld;

async function shownProgress(job: string): Promise<unknown> {
  return (await getJob(job)).body["progress"];
}

beforeEach(() => {
  world = openOutsideWorld();
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("an asynchronous job", () => {
  it("is accepted with its address, and ends with exactly the body of the sync call", async () => {
    const text = fresh();
    const { response, body, id } = await accepted(text);
    expect(response.headers.get("location")).toBe(`/v1/jobs/${id}`);
    expect(response.headers.get("preference-applied")).toBe("respond-async");
    expect(body).toEqual({
      id,
      object: "job",
      status: "starting",
      task: "feature-extraction",
      model: "all-MiniLM-L6-v2",
      created_at: expect.any(Number),
      finished_at: null,
      progress: null,
      output: null,
      error: null,
      usage: null,
    });
    const message = await sent(world);
    await report(message.shard, [started(message)]);
    expect((await getJob(id)).body).toMatchObject({ status: "processing" });
    const sync = embed(text);
    await answerWith(message);
    const done = await call(`/v1/jobs/${id}`, { method: "GET" });
    const text200 = await done.text();
    expect(text200).toContain(`"output":${await (await sync).text()}`);
    expect(JSON.parse(text200)).toMatchObject({
      status: "succeeded",
      finished_at: expect.any(Number),
      error: null,
      usage: { prompt_tokens: 7, total_tokens: 7 },
    });
  });

  it("is answered at once where it ends within Prefer: wait", async () => {
    const response = embed(fresh(), { headers: { prefer: "wait=30" } });
    await answerWith(await sent(world));
    expect((await response).status).toBe(200);
  });

  it("is answered 202 after Prefer: wait in vain", async () => {
    const response = await embed(fresh(), {
      headers: { prefer: "wait=30" },
      bindings: { SYNC_WINDOW_SECONDS: "0.02" },
    });
    expect(response.status).toBe(202);
    expect(response.headers.get("preference-applied")).toBe("wait=30");
    expect(await response.json()).toMatchObject({ object: "job", status: "starting" });
  });

  it("is processing once it progresses, although nobody said that it started", async () => {
    const { id } = await accepted(fresh());
    const message = await sent(world);
    await report(message.shard, [
      { ...started(message), type: "progress", completed: 1, total: 9 },
    ]);
    expect((await getJob(id)).body).toMatchObject({ status: "processing" });
  });

  it("shows how far it is while it is computed, of every job that shares it", async () => {
    const text = fresh();
    const { id } = await accepted(text);
    const message = await sent(world);
    const progress = (completed: number, sequence: number): JobEvent => {
      return { ...started(message, sequence), type: "progress", completed, total: 9 };
    };
    await report(message.shard, [started(message), progress(2, 2)]);
    expect(await shownProgress(id)).toEqual({ completed: 2, total: 9 });
    const second = await accepted(text, { encoding_format: "float" });
    expect(second.body).toMatchObject({ progress: { completed: 2, total: 9 } });
    // The last that counts; what comes late is not.
    await report(message.shard, [progress(7, 4), progress(3, 3)]);
    expect(await shownProgress(id)).toEqual({ completed: 7, total: 9 });
    expect(await shownProgress(second.id)).toEqual({ completed: 7, total: 9 });
    await call(`/v1/jobs/${second.id}/cancel`);
    expect(await shownProgress(second.id)).toBeNull();
    // Another worker begins it afresh.
    await report(message.shard, [started(message, 5)]);
    expect(await shownProgress(id)).toBeNull();
    await report(message.shard, [progress(8, 6), succeeded(message, 7)]);
    expect((await getJob(id)).body).toMatchObject({ status: "succeeded", progress: null });
  });

  it("writes nothing down for its progress", async () => {
    const { id } = await accepted(fresh());
    const message = await sent(world);
    await report(message.shard, [started(message)]);
    const written = () =>
      runInDurableObject(shardStub(env, message.shard), (_, { storage }) =>
        storage.sql.exec<{ n: number }>("SELECT total_changes() AS n").one(),
      );
    const before = await written();
    const event = { ...started(message), type: "progress", total: 100 } as const;
    for (let at = 1; at <= 100; at += 1) {
      await report(message.shard, [{ ...event, sequence: 1 + at, completed: at }], [message.id]);
    }
    expect(await written()).toEqual(before);
    expect((await getJob(id)).body).toMatchObject({ progress: { completed: 100, total: 100 } });
  });

  it("shows the worker's error", async () => {
    const { id } = await accepted(fresh());
    const message = await sent(world);
    await report(message.shard, [failed(message)]);
    expect((await getJob(id)).body).toMatchObject({
      status: "failed",
      output: null,
      error: { message: "too long", code: "context_length_exceeded" },
    });
  });

  it("is its owner's alone", async () => {
    const { id } = await accepted(fresh());
    const anonymous = { headers: { authorization: "Bearer anonymous" } };
    const got = await call(`/v1/jobs/${id}`, { method: "GET", ...anonymous });
    const cancelled = await call(`/v1/jobs/${id}/cancel`, anonymous);
    expect([got.status, cancelled.status]).toEqual([404, 404]);
    expect((await getJob(id)).body).toMatchObject({ status: "starting" });
  });

  it.each(["job_1_0", "nonsense", `job_3_${"0".repeat(32)}`, `job_99999_${"0".repeat(32)}`, "%00"])(
    "is not found under %s",
    async (id) => {
      const { status, body } = await getJob(id);
      expect(status).toBe(404);
      expect(body).toMatchObject({ error: { code: "not_found" } });
    },
  );

  it.each([
    ["POST", "/cancel"],
    ["DELETE", ""],
  ])("is cancelled by its owner, and the worker is told: %s …%s", async (method, end) => {
    const { id } = await accepted(fresh());
    const message = await sent(world);
    const cancelled = await call(`/v1/jobs/${id}${end}`, { method });
    expect(cancelled.status).toBe(200);
    expect(await cancelled.json()).toMatchObject({ id, status: "canceled", output: null });
    expect((await report(message.shard, [started(message)])).cancelled).toEqual([message.id]);
    await answerWith(message);
    expect((await getJob(id)).body).toMatchObject({ status: "canceled", output: null });
  });

  it("stays as it ended when it is cancelled late", async () => {
    const { id } = await accepted(fresh());
    await answerWith(await sent(world));
    await call(`/v1/jobs/${id}/cancel`);
    expect((await getJob(id)).body).toMatchObject({ status: "succeeded" });
  });

  it("shares its computation with an identical one, which has its own address", async () => {
    const text = fresh();
    const first = await accepted(text);
    const second = await accepted(text, { encoding_format: "float" });
    expect(second.id).not.toBe(first.id);
    const message = await sent(world);
    await call(`/v1/jobs/${first.id}/cancel`);
    expect((await report(message.shard, [], [message.id])).cancelled).toEqual([]);
    await answerWith(message);
    expect((await getJob(first.id)).body).toMatchObject({ status: "canceled" });
    expect((await getJob(second.id)).body).toMatchObject({
      status: "succeeded",
      output: { data: [{ embedding: [expect.any(Number), 0, expect.any(Number)] }] },
    });
    expect(world.messages).toHaveLength(1);
  });
});
