/** Inputs and results too large for a message, and characters a queue does not take. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { embed, report, resultOf, sent, succeeded } from "./caller-and-worker.ts";
import { accepted, answerWith, fresh, getJob } from "./jobs-in-tests.ts";
import { openOutsideWorld, type OutsideWorld } from "./outside-world.ts";

let world: OutsideWorld;

beforeEach(() => {
  world = openOutsideWorld();
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("large things", () => {
  it("travel to the worker through the object store", async () => {
    const text = "long ".repeat(60_000);
    const response = embed(text);
    const message = await sent(world);
    expect(message.inputs).toMatchObject({ key: `jobs/inputs/${message.id}.json` });
    const object = world.objects.get(`jobs/inputs/${message.id}.json`);
    expect(JSON.parse(new TextDecoder().decode(object))).toEqual([text]);
    await answerWith(message);
    expect((await response).status).toBe(200);
  });

  it("come back from the object store, for the caller, the job and the cache", async () => {
    const text = fresh();
    const { id } = await accepted(text);
    const waiting = embed(text);
    const message = await sent(world);
    const result = resultOf(message, { warnings: ["a large result"] });
    const bytes = new TextEncoder().encode(JSON.stringify(result));
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const reference = { key: `jobs/results/${message.id}.json`, bytes: bytes.byteLength, sha256 };
    world.objects.set(reference.key, bytes);
    await report(message.shard, [{ ...succeeded(message), result: reference }]);
    const response = await waiting;
    expect(response.status).toBe(200);
    expect(response.headers.get("x-warnings")).toContain("a large result");
    expect((await getJob(id)).body["output"]).toEqual(await response.json());
    const key = `${message.requestKey}:${result.modelDigest}`;
    expect(await env.CACHE.get(key, "json")).toEqual(result);
  });

  it("are put in the object store where a worker sent them in full", async () => {
    const { id } = await accepted(fresh());
    const message = await sent(world);
    const result = resultOf(message, { outputs: [btoa("v".repeat(1_200_000))] });
    await report(message.shard, [{ ...succeeded(message), result }]);
    expect([...world.objects.keys()]).toEqual([`jobs/results/${message.id}.json`]);
    expect((await getJob(id)).body).toMatchObject({ status: "succeeded" });
  });
});

describe("a message", () => {
  it("holds no character a queue refuses, and means the same", async () => {
    const text = `emoji 😀, a noncharacter \uffff, another \ufffe, ${crypto.randomUUID()}`;
    const spy = vi.mocked(globalThis.fetch);
    const response = embed(text);
    const message = await sent(world);
    expect(message.inputs).toEqual([text]);
    const requests = spy.mock.calls.map(([request]) => request);
    expect(requests).toHaveLength(1);
    await answerWith(message);
    expect((await response).status).toBe(200);
  });
});
