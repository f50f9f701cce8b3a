/** `Prefer: respond-async` for what was computed before: a job that is finished at once, from the cache. */
import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { shardOfJobId } from "../../../contract/job-id.ts";
import { settingsOf } from "../../../edge/environment.ts";
import { shardStub } from "../../../edge/jobs/shard-stub.ts";
import { announce, miniLm } from "../stand-in-worker.ts";
import { embed, report, sent, succeeded } from "./caller-and-worker.ts";
import { accepted, answerWith, fresh, getJob } from "./jobs-in-tests.ts";
import { openOutsideWorld, type OutsideWorld } from "./outside-world.ts";

let world: OutsideWorld;

beforeEach(async () => {
  world = openOutsideWorld();
  await announce([{ ...miniLm, digest: "digest-of-the-test" }]);
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** A text whose result is in the cache, and the body of the sync call. */
async function computed(): Promise<{ text: string; body: unknown }> {
  const text = fresh();
  const response = embed(text);
  await answerWith(await sent(world));
  return { text, body: await (await response).json() };
}

it("is finished when it is accepted, without a computation, and found under its address", async () => {
  const { text, body } = await computed();
  const { response, body: job, id } = await accepted(text);
  expect(response.headers.get("x-cache")).toBe("hit");
  expect(response.headers.get("location")).toBe(`/v1/jobs/${id}`);
  expect(job).toMatchObject({ object: "job", status: "succeeded", output: body });
  expect((await getJob(id)).body).toEqual(job);
  expect(world.messages).toHaveLength(1);
});

it("is a job like any other to its webhook", async () => {
  const { text, body } = await computed();
  const webhook = "https://receiver.example.com/hook";
  const { id } = await accepted(text, {
    webhook,
    webhook_events_filter: ["start", "output", "completed"],
  });
  await vi.waitFor(async () => {
    await runDurableObjectAlarm(shardStub(env, shardOfJobId(id) ?? 0));
    expect(world.hooks).toHaveLength(3);
  });
  const types = world.hooks.map((hook) => JSON.parse(hook.body).type);
  expect(types).toEqual(["job.start", "job.output", "job.completed"]);
  expect(JSON.parse(world.hooks[2]?.body ?? "")).toMatchObject({
    type: "job.completed",
    data: { id, status: "succeeded", output: body },
  });
});

it("is the sync answer where the caller waits for it", async () => {
  const { text, body } = await computed();
  const response = await embed(text, { headers: { prefer: "respond-async, wait=5" } });
  expect(response.status).toBe(200);
  expect(response.headers.get("x-cache")).toBe("hit");
  expect(await response.json()).toEqual(body);
  const job = await getJob(response.headers.get("x-job-id") ?? "");
  expect(job.body).toMatchObject({ status: "succeeded", output: body });
});

it("costs a request and no units", async () => {
  const address = "203.0.113.91";
  const headers = { authorization: "Bearer anonymous", "cf-connecting-ip": address };
  const text = fresh();
  const asynchronous = { headers: { ...headers, prefer: "respond-async" } };
  const first = await embed(text, asynchronous);
  const message = await sent(world);
  await report(message.shard, [succeeded(message)]);
  const { freeTier } = settingsOf(env);
  const used = async () => {
    const { snapshot } = await env.QUOTA.getByName(`ip:${address}`).count(freeTier);
    return freeTier.unitsPerDay - snapshot.units.remaining;
  };
  expect(await used()).toBe(7);
  const second = await embed(text, asynchronous);
  expect([first.headers.get("x-cache"), second.headers.get("x-cache")]).toEqual(["miss", "hit"]);
  expect(await used()).toBe(7);
  expect(world.messages).toHaveLength(1);
});

it("is computed under no-store", async () => {
  const { text } = await computed();
  const headers = { prefer: "respond-async", "cache-control": "no-store" };
  const response = await embed(text, { headers });
  expect(await response.json()).toMatchObject({ status: "starting" });
  await sent(world, 1);
});
