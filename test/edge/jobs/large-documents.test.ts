/** Inputs and results too large for a message, and characters a queue does not take. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type JobResult, resultDocument } from "../../../contract/result-document.ts";
import type { JobMessage } from "../../../contract/job-message.ts";
import { limits } from "../../../contract/limits.ts";
import {
  call,
  embed,
  report,
  resultOf,
  sent,
  started,
  succeeded,
  vector,
} from "./caller-and-worker.ts";
import { announce, miniLm } from "../stand-in-worker.ts";
import { accepted, answerWith, fresh, getJob } from "./jobs-in-tests.ts";
import { putResult } from "./large-results.ts";
import { openOutsideWorld, type OutsideWorld } from "./outside-world.ts";

let world: OutsideWorld;

beforeEach(() => {
  world = openOutsideWorld();
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** The worker succeeds, and its result lies in the store. */
async function answerByReference(message: JobMessage, changed: Partial<JobResult> = {}) {
  const result = resultOf(message, changed);
  const reference = await putResult(world, message.id, result);
  await report(message.shard, [{ ...succeeded(message), result: reference }]);
  return { result, reference };
}

const tooLargeOutput = btoa("v".repeat(1_200_000));

/** A document that is put away by the edge itself. */
function tooLarge(message: JobMessage): string {
  return resultDocument(resultOf(message, { outputs: [tooLargeOutput] }));
}

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

  it("come back from the object store, the same to the byte for the caller and the job", async () => {
    const text = fresh();
    const { id } = await accepted(text);
    const waiting = embed(text);
    const message = await sent(world);
    await answerByReference(message, { warnings: ["a large result"], method: "by the test" });
    const response = await waiting;
    expect(response.status).toBe(200);
    expect(response.headers.get("x-warnings")).toContain("a large result");
    expect(response.headers.get("x-method")).toBe("by the test");
    expect(response.headers.get("x-model-digest")).toBe("digest-of-the-test");
    expect(response.headers.get("x-job-id")).toBe(message.id);
    const body = await response.text();
    expect(JSON.parse(body)).toEqual({
      object: "list",
      data: [{ object: "embedding", index: 0, embedding: vector }],
      model: "all-MiniLM-L6-v2",
      usage: { prompt_tokens: 7, total_tokens: 7 },
    });
    const job = await call(`/v1/jobs/${id}`, { method: "GET" });
    expect(job.headers.get("x-method")).toBe("by the test");
    const jobText = await job.text();
    expect(jobText).toContain(`"output":${body},"error":null`);
    expect(JSON.parse(jobText)).toMatchObject({
      status: "succeeded",
      usage: { prompt_tokens: 7, total_tokens: 7 },
    });
  });

  it.each(["gone", "down"])("are cached by where they lie, and computed again: %s", async (how) => {
    await announce([{ ...miniLm, digest: "digest-of-the-test" }]);
    const text = fresh();
    // Bindings of its own: an isolate that has not copied the list of models yet.
    const asked = () => embed(text, { bindings: {} });
    const waiting = asked();
    const message = await sent(world);
    const { result, reference } = await answerByReference(message);
    const first = await (await waiting).text();
    const key = `${message.requestKey}:${result.modelDigest}`;
    expect(await env.CACHE.get(key, "json")).toEqual({ reference });

    const hit = await asked();
    expect(hit.headers.get("x-cache")).toBe("hit");
    expect(hit.headers.get("x-model-digest")).toBe(result.modelDigest);
    expect(await hit.text()).toBe(first);
    expect(world.messages).toHaveLength(1);

    if (how === "gone") world.objects.delete(reference.key);
    world.storeIsUp = how === "gone";
    const missed = asked();
    await answerWith(await sent(world, 1));
    expect((await missed).status).toBe(200);
    expect((await missed).headers.get("x-cache")).toBe("miss");
  });

  it("are put in the object store where a worker sent them in full", async () => {
    const { id } = await accepted(fresh());
    const message = await sent(world);
    const result = tooLarge(message);
    await report(message.shard, [{ ...succeeded(message), result }]);
    expect([...world.objects.keys()]).toEqual([`jobs/results/${message.id}.ndjson`]);
    expect((await getJob(id)).body).toMatchObject({
      status: "succeeded",
      output: { data: [{ embedding: tooLargeOutput }] },
    });
  });

  it("are left out of the answer to HEAD, which has the headers", async () => {
    const { id } = await accepted(fresh());
    await answerByReference(await sent(world), { method: "by the test" });
    const head = await call(`/v1/jobs/${id}`, { method: "HEAD" });
    expect(head.status).toBe(200);
    expect(head.headers.get("x-method")).toBe("by the test");
    expect(await head.text()).toBe("");
  });

  it("may be left in the middle", async () => {
    const { id } = await accepted(fresh());
    const message = await sent(world);
    const outputs = Array.from({ length: 20_000 }, () => vector);
    await answerByReference(message, { outputs });
    const job = await call(`/v1/jobs/${id}`, { method: "GET" });
    const reader = job.body?.getReader();
    expect((await reader?.read())?.done).toBe(false);
    await reader?.cancel();
    const again = await getJob(id);
    expect(again.body["output"]).toMatchObject({ data: { length: outputs.length } });
  });

  it.each(["altered", "cut", "longer"])("break off where they were %s", async (how) => {
    const { id } = await accepted(fresh());
    const message = await sent(world);
    const { reference } = await answerByReference(message);
    const bytes = world.objects.get(reference.key) ?? new Uint8Array();
    const altered = {
      altered: bytes.with(bytes.length - 10, 0x42),
      cut: bytes.slice(0, -4),
      longer: Uint8Array.from([...bytes, 0x22, 0x22, 0x0a]),
    }[how];
    world.objects.set(reference.key, altered ?? bytes);
    const job = await call(`/v1/jobs/${id}`, { method: "GET" });
    await expect(job.text()).rejects.toThrow(/not the object that was written/);
  });

  it("that are gone are 404 for the job, which says why", async () => {
    const { id } = await accepted(fresh());
    const { reference } = await answerByReference(await sent(world));
    world.objects.delete(reference.key);
    expect(await getJob(id)).toMatchObject({
      status: 404,
      body: { error: { code: "not_found", message: expect.stringContaining("kept for a day") } },
    });
  });
});

describe("trouble with what is stored", () => {
  it("in the cache is held against nobody: the job is acknowledged, and the caller answered", async () => {
    vi.spyOn(env.CACHE, "put").mockRejectedValue(new Error("KV PUT failed: 429 Too Many Requests"));
    const { id } = await accepted(fresh());
    const waiting = embed(fresh());
    const jobs = [await sent(world, 0), await sent(world, 1)];
    for (const message of jobs) {
      const events = [started(message), succeeded(message)];
      const { acked } = await report(message.shard, events);
      expect(acked).toEqual([1, 2].map((sequence) => ({ jobId: message.id, sequence })));
    }
    expect(env.CACHE.put).toHaveBeenCalledTimes(2);
    expect((await waiting).status).toBe(200);
    expect((await getJob(id)).body).toMatchObject({ status: "succeeded" });
  });

  it("in the object store leaves one event unacknowledged, and no other", async () => {
    const { id: largeId } = await accepted(fresh());
    const large = await sent(world);
    const small = { ...large, id: `job_${large.shard}_${crypto.randomUUID().replaceAll("-", "")}` };
    world.storeIsUp = false;
    const events = [
      started(large),
      { ...succeeded(large), result: tooLarge(large) },
      succeeded({ ...small, requestKey: null }),
    ];
    expect((await report(large.shard, events)).acked).toEqual([
      { jobId: large.id, sequence: 1 },
      { jobId: small.id, sequence: 2 },
    ]);
    expect((await getJob(largeId)).body).toMatchObject({ status: "processing" });
    world.storeIsUp = true;
    expect((await report(large.shard, events)).acked).toHaveLength(3);
    expect((await getJob(largeId)).body).toMatchObject({ status: "succeeded" });
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

  it("holds inputs up to the bound, counted in bytes", async () => {
    // Three bytes each, and one: both texts have the same characters in all.
    for (const [letter, inline] of [
      ["€", false],
      ["e", true],
    ] as const) {
      const response = embed(`${fresh()}${letter.repeat(limits.inlineInputsBytesMax / 2)}`);
      const message = await sent(world, world.messages.length);
      expect(Array.isArray(message.inputs)).toBe(inline);
      await answerWith(message);
      expect((await response).status).toBe(200);
    }
  });
});
