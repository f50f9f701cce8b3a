/** Calls that wait for their result: what they get, what they share, and how long they are held. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { embed, failed, report, sent, started, succeeded, vector } from "./caller-and-worker.ts";
import { answerWith, fresh, getJob } from "./jobs-in-tests.ts";
import { openOutsideWorld, type OutsideWorld } from "./outside-world.ts";

let world: OutsideWorld;

beforeEach(() => {
  world = openOutsideWorld();
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a call that waits", () => {
  it("gets its result, and leaves no row behind", async () => {
    const response = embed(fresh());
    const message = await sent(world);
    expect(message).toMatchObject({ task: "feature-extraction", tenant: "operator" });
    const { acked, cancelled } = await answerWith(message);
    expect(acked).toEqual([1, 2].map((sequence) => ({ jobId: message.id, sequence })));
    expect(cancelled).toEqual([]);
    const { status, headers } = await response;
    expect(status).toBe(200);
    expect(headers.get("x-job-id")).toBe(message.id);
    expect(await (await response).json()).toMatchObject({
      object: "list",
      data: [{ object: "embedding", index: 0, embedding: vector }],
      usage: { prompt_tokens: 7, total_tokens: 7 },
    });
    expect((await getJob(message.id)).status).toBe(404);
  });

  it("gets the worker's error by its code", async () => {
    const response = embed(fresh());
    const message = await sent(world);
    await report(message.shard, [failed(message)]);
    expect((await response).status).toBe(400);
    expect(await (await response).json()).toEqual({
      error: {
        message: "too long",
        type: "invalid_request_error",
        param: "input",
        code: "context_length_exceeded",
      },
    });
  });

  it("shares one computation with identical calls, each worded its own way", async () => {
    const text = fresh();
    const first = embed(text);
    const message = await sent(world);
    const second = embed(text, { more: { encoding_format: "float" } });
    const other = embed(fresh());
    await sent(world, 1);
    await answerWith(message);
    expect(await (await first).json()).toMatchObject({ data: [{ embedding: vector }] });
    const floats: { data: { embedding: number[] }[] } = await (await second).json();
    expect(floats.data[0]?.embedding.map((value) => value.toFixed(3))).toEqual([
      "0.600",
      "0.000",
      "-0.800",
    ]);
    expect(world.messages).toHaveLength(2);
    const otherMessage = await sent(world, 1);
    await answerWith(otherMessage);
    expect((await other).status).toBe(200);
  });

  it("shares nothing under cache-control: no-store", async () => {
    const text = fresh();
    const headers = { "cache-control": "no-store" };
    const both = [embed(text, { headers }), embed(text, { headers })];
    const messages = [await sent(world, 0), await sent(world, 1)];
    expect(messages.map(({ requestKey }) => requestKey)).toEqual([null, null]);
    for (const message of messages) await answerWith(message);
    expect((await Promise.all(both)).map(({ status }) => status)).toEqual([200, 200]);
  });

  it("is not answered by an event that was seen before, nor twice", async () => {
    const text = fresh();
    const response = embed(text, { headers: { "cache-control": "no-store" } });
    const message = await sent(world);
    await answerWith(message);
    await response;
    const again = await answerWith(message);
    expect(again.acked).toHaveLength(2);
    expect(again.cancelled).toEqual([]);
  });

  it("is answered by a worker that took over and counts from 1 again", async () => {
    const response = embed(fresh());
    const message = await sent(world);
    await report(message.shard, [started(message, 1)]);
    await report(message.shard, [
      { ...started(message, 5), type: "progress", completed: 1, total: 2 },
    ]);
    await report(message.shard, [started(message, 1), succeeded(message, 2)]);
    expect((await response).status).toBe(200);
  });

  it("waits through a queue that is down", async () => {
    world.queueIsUp = false;
    const response = embed(fresh());
    await vi.waitFor(() => expect(world.sendsRefused).toBeGreaterThan(0));
    world.queueIsUp = true;
    await answerWith(await sent(world));
    expect((await response).status).toBe(200);
  });

  it("is answered 504 with its job's address when the window ends, and the job goes on", async () => {
    const bindings = { SYNC_WINDOW_SECONDS: "0.02" };
    const text = fresh();
    const response = await embed(text, { bindings });
    const message = await sent(world);
    expect(response.status).toBe(504);
    const location = `/v1/jobs/${message.id}`;
    expect(response.headers.get("location")).toBe(location);
    expect(await response.json()).toMatchObject({ error: { code: "sync_timeout" } });
    expect((await getJob(message.id)).body).toMatchObject({ status: "starting", output: null });

    const retried = await embed(text, { bindings });
    expect(retried.status).toBe(504);
    expect(retried.headers.get("location")).toBe(location);

    const joined = embed(text);
    await vi.waitFor(() => expect(world.messages).toHaveLength(1));
    await answerWith(message);
    const { body } = await getJob(message.id);
    expect(body).toMatchObject({ status: "succeeded", usage: { prompt_tokens: 7 } });
    expect(body["output"]).toEqual(await (await joined).json());
  });
});
