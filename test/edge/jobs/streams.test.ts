/** Streams: what a worker reports of a job, told to its callers as it comes. */
import { abortAllDurableObjects } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobEvent, Piece } from "../../../contract/events.ts";
import type { JobMessage } from "../../../contract/job-message.ts";
import { call, report, sent, started } from "./caller-and-worker.ts";
import { fresh } from "./jobs-in-tests.ts";
import { openOutsideWorld, type OutsideWorld } from "./outside-world.ts";
import { announce } from "../stand-in-worker.ts";
import { SseReader } from "../../sse-reader.ts";
import { generated, openStream, piece, tokens, writer } from "./streams-in-tests.ts";

let world: OutsideWorld;

beforeEach(async () => {
  world = openOutsideWorld();
  await announce([writer]);
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** Reports, in order and one by one. */
async function tell(message: JobMessage, ...events: JobEvent[]): Promise<void> {
  for (const event of events) await report(message.shard, [event], [message.id]);
}

/** Two tokens of one worker, and then what a second one says. */
async function afterTwo(second: Piece[], result: string) {
  const response = openStream(fresh());
  const message = await sent(world);
  await tell(message, tokens(message, 2, [piece(0, "Hel"), piece(1, "lo", 3)]));
  await tell(message, started(message, 1_000));
  await tell(message, tokens(message, 1_001, second));
  await tell(message, generated(message, 1_002, [result]));
  const events = await new SseReader(await response).rest();
  return { text: events.map(({ data }) => data["text"] ?? "").join(""), last: events.at(-1) };
}

const resumed = (id: string, after?: number) =>
  call(`/v1/jobs/${id}/events`, {
    method: "GET",
    headers: after === undefined ? {} : { "last-event-id": String(after) },
  });

async function leftBy(headers: Record<string, string>) {
  const stream = await openStream(fresh(), {}, { headers });
  const message = await sent(world);
  await tell(message, tokens(message, 2, [piece(0, "Hel")]));
  await stream.body?.cancel();
  return message;
}
const cancelledOf = async (message: JobMessage) =>
  (await report(message.shard, [], [message.id])).cancelled;

describe("a stream", () => {
  it("tells what is generated as it comes, numbered, and then the end", async () => {
    const response = openStream(fresh());
    const message = await sent(world);
    expect(message.stream).toBe(true);
    await tell(message, started(message), tokens(message, 2, [piece(0, "Hel")]));
    const stream = await response;
    expect(stream.status).toBe(200);
    expect(Object.fromEntries(stream.headers)).toMatchObject({
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
      "x-job-id": message.id,
    });
    const reader = new SseReader(stream);
    expect(await reader.next()).toEqual({ id: "1", event: "start", data: { id: message.id } });
    expect(await reader.next()).toMatchObject({ id: "2", event: "output", data: { text: "Hel" } });
    await tell(message, tokens(message, 3, [piece(1, "lo", 3, "length")]));
    expect(await reader.next()).toMatchObject({
      id: "3",
      data: { text: "lo", tokens_before: 1, finish_reason: "length" },
    });
    await tell(message, generated(message, 4, ["Hello"]));
    expect(await reader.next()).toMatchObject({
      id: "4",
      event: "completed",
      data: { id: message.id, status: "succeeded" },
    });
    expect(await reader.next()).toBeNull();
  });

  it("tells from the result what its pieces had not said", async () => {
    const response = openStream(fresh());
    const message = await sent(world);
    await tell(message, tokens(message, 2, [piece(0, "Hel")]), generated(message, 3, ["Hello"]));
    const events = await new SseReader(await response).rest();
    expect(events.map(({ data }) => data["text"])).toEqual([undefined, "Hel", "lo", undefined]);
    expect(events.at(-1)?.event).toBe("completed");
  });

  it("is refused by a status where the job fails before its first token", async () => {
    const response = openStream(fresh());
    const message = await sent(world);
    const error = { code: "context_length_exceeded", message: "too long", param: null } as const;
    const { id: jobId, tenant, requestKey } = message;
    const common = { jobId, tenant, requestKey, sequence: 2 };
    await tell(message, started(message), { type: "failed", ...common, error });
    expect((await response).status).toBe(400);
    expect(await (await response).json()).toMatchObject({ error: { message: "too long" } });
  });

  it("ends in an error event where the job fails after its first token", async () => {
    const response = openStream(fresh());
    const message = await sent(world);
    const error = { code: "internal_error", message: "it broke", param: null } as const;
    const { id: jobId, tenant, requestKey } = message;
    const common = { jobId, tenant, requestKey, sequence: 3 };
    await tell(message, tokens(message, 2, [piece(0, "Hel")]));
    await tell(message, { type: "failed", ...common, error });
    const events = await new SseReader(await response).rest();
    expect(events.at(-1)).toMatchObject({
      event: "error",
      data: { error: { message: "it broke", code: "internal_error" } },
    });
  });

  it("says where it stands while it waits, and is answered within a second", async () => {
    const stream = await openStream(fresh());
    const message = await sent(world);
    const reader = new SseReader(stream);
    expect(await reader.comment()).toMatch(/^queued position=[1-9]\d*( eta=\d+)?$/);
    await tell(message, generated(message, 3, ["Hello"]));
    const events = await reader.rest();
    expect(events.map(({ event }) => event)).toEqual(["start", "output", "completed"]);
  });

  it("tells a result from the cache as a stream", async () => {
    const text = fresh();
    const first = openStream(text);
    const message = await sent(world);
    await tell(message, generated(message, 3, ["Hello"]));
    await (await first).text();
    for (let times = 0; times < 3; times += 1) {
      const hit = await openStream(text);
      expect(hit.headers.get("x-cache")).toBe("hit");
      const events = await new SseReader(hit).rest();
      expect(events.map(({ event }) => event)).toEqual(["output", "completed"]);
    }
    expect(world.messages).toHaveLength(1);
  });

  it("joins a call that does not stream, and is told everything at its end", async () => {
    const text = fresh();
    const plain = openStream(text, { stream: false });
    const message = await sent(world);
    expect(message.stream).toBeUndefined();
    const stream = openStream(text);
    await stream;
    await tell(message, generated(message, 3, ["Hello"]));
    expect((await plain).status).toBe(200);
    const events = await new SseReader(await stream).rest();
    expect(events.map(({ event }) => event)).toEqual(["start", "output", "completed"]);
    expect(world.messages).toHaveLength(1);
  });

  it("tells an encoder's outputs, one by one", async () => {
    const text = fresh();
    const response = call("/v1/tasks/noop", { body: { inputs: [text, "b"], stream: true } });
    const message = await sent(world);
    const { id: jobId, tenant, requestKey } = message;
    const common = { jobId, tenant, requestKey };
    await report(message.shard, [
      { type: "progress", ...common, sequence: 2, completed: 1, total: 2 },
      generated(message, 3, [text, "b"], (output) => output),
    ]);
    const events = await new SseReader(await response).rest();
    expect(events).toMatchObject([
      { event: "start" },
      { event: "progress", data: { completed: 1, total: 2 } },
      { event: "output", data: { index: 0, output: text } },
      { event: "output", data: { index: 1, output: "b" } },
      { event: "completed" },
    ]);
  });
});

describe("what a second worker repeats", () => {
  it("is told once, and gone on with where the first broke off", async () => {
    const second = [piece(0, "Hel"), piece(1, "lo wor", 3), piece(2, "ld", 9)];
    const { text, last } = await afterTwo(second, "Hello world");
    expect(text).toBe("Hello world");
    expect(last?.event).toBe("completed");
  });

  it("is told from the result where something is missing", async () => {
    const { text, last } = await afterTwo([piece(7, "ld", 9)], "Hello world");
    expect(text).toBe("Hello world");
    expect(last?.event).toBe("completed");
  });

  it("ends in an error event where it says something else", async () => {
    const { text, last } = await afterTwo([piece(0, "Hal")], "Hallo");
    expect(text).toBe("Hello");
    expect(last).toMatchObject({ event: "error", data: { error: { code: "worker_lost" } } });
  });

  it("ends in an error event where the result says something else", async () => {
    const { text, last } = await afterTwo([piece(0, "Hel")], "Hallo");
    expect(text).toBe("Hello");
    expect(last).toMatchObject({ event: "error", data: { error: { code: "worker_lost" } } });
  });
});

describe("a caller that comes back", () => {
  it("goes on after the last event that it had", async () => {
    const response = openStream(fresh());
    const message = await sent(world);
    await tell(message, tokens(message, 2, [piece(0, "Hel"), piece(1, "lo", 3)]));
    const first = new SseReader(await response);
    const back = new SseReader(await resumed(message.id, 2));
    expect(await back.next()).toMatchObject({ id: "3", data: { text: "lo" } });
    await tell(message, generated(message, 4, ["Hello!"]));
    const rest = await back.rest();
    expect(rest).toMatchObject([{ id: "4", data: { text: "!" } }, { event: "completed" }]);
    expect((await first.rest()).slice(3)).toEqual(rest);
    const late = await new SseReader(await resumed(message.id, 4)).rest();
    expect(late).toEqual(rest.slice(1));
  });

  it("reads a finished job from its result, and is told where that is when its events are gone", async () => {
    const headers = { prefer: "respond-async" };
    const response = openStream(fresh(), {}, { headers });
    const message = await sent(world);
    await tell(message, generated(message, 4, ["Hello"]));
    const id = (await response).headers.get("x-job-id") ?? "";
    await (await response).text();
    const all = await new SseReader(await resumed(id)).rest();
    expect(all.map(({ event }) => event)).toEqual(["start", "output", "completed"]);
    await abortAllDurableObjects();
    for (const after of [0, 1, 2]) {
      const rest = await new SseReader(await resumed(id, after)).rest();
      expect(rest).toEqual(all.slice(after));
    }
    const [gone, ...others] = await new SseReader(await resumed(id, 4)).rest();
    expect(others).toEqual([]);
    expect(gone).toMatchObject({ event: "error" });
    expect(JSON.stringify(gone)).toContain(`/v1/jobs/${id}`);
  });

  it("is read by so many at a time, and by nobody who asks for its headers alone", async () => {
    const first = await openStream(fresh(), {}, { headers: { "x-resumable": "1" } });
    const message = await sent(world);
    const head = await call(`/v1/jobs/${message.id}/events`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    const readers = await Promise.all(Array.from({ length: 110 }, () => resumed(message.id)));
    const refused = readers.filter(({ status }) => status === 429);
    expect(readers.length - refused.length).toBeGreaterThanOrEqual(98);
    expect(refused.length).toBeGreaterThanOrEqual(10);
    expect(await refused[0]?.json()).toMatchObject({ error: { code: "rate_limit_exceeded" } });
    await tell(message, generated(message, 2, ["Hello"]));
    const last = (await new SseReader(first).rest()).at(-1);
    expect(last?.event).toBe("completed");
  });

  it("is nobody but the job's owner, and asks by a number", async () => {
    const response = openStream(fresh());
    const message = await sent(world);
    await tell(message, tokens(message, 2, [piece(0, "Hel")]));
    const { status } = await call(`/v1/jobs/${message.id}/events`, {
      method: "GET",
      headers: { authorization: "Bearer anonymous" },
    });
    expect(status).toBe(404);
    const headers = { "last-event-id": "x" };
    const odd = await call(`/v1/jobs/${message.id}/events`, { method: "GET", headers });
    expect(odd.status).toBe(400);
    await tell(message, generated(message, 4, ["Hello"]));
    await (await response).text();
  });
});

describe("a reader that leaves", () => {
  it("cancels at once", async () => {
    const message = await leftBy({});
    await tell(message, tokens(message, 3, [piece(1, "lo", 3)]));
    await vi.waitFor(async () => expect(await cancelledOf(message)).toEqual([message.id]));
  });

  it("counts as gone when it is too far behind", async () => {
    const stream = await openStream(fresh());
    const message = await sent(world);
    await tell(message, tokens(message, 2, [piece(0, "a")]));
    const reader = new SseReader(stream);
    while ((await reader.next())?.event !== "output");
    const long = "x".repeat(20_000);
    for (let index = 0; index < 30; index += 1) {
      const next = piece(1 + index, long, 1 + index * long.length);
      await tell(message, tokens(message, 3 + index, [next]));
    }
    await vi.waitFor(async () => expect(await cancelledOf(message)).toEqual([message.id]));
    const events = await reader.rest();
    expect(events.length).toBeLessThan(30);
    expect(events.at(-1)?.data).toMatchObject({ error: { code: "internal_error" } });
  });

  it("counts as there while it is less than 256 KiB behind", async () => {
    const stream = await openStream(fresh());
    const message = await sent(world);
    const long = "x".repeat(20_000);
    const count = 11;
    for (let index = 0; index < count; index += 1)
      await tell(message, tokens(message, 2 + index, [piece(index, long, index * long.length)]));
    expect(await cancelledOf(message)).toEqual([]);
    await tell(message, generated(message, 2 + count, [long.repeat(count)]));
    const events = await new SseReader(stream).rest();
    expect(events.at(-1)?.event).toBe("completed");
    expect(events.map(({ data }) => data["text"] ?? "").join("")).toHaveLength(count * long.length);
  });

  it("does not cancel what it asked for with respond-async", async () => {
    const message = await leftBy({ prefer: "respond-async" });
    await tell(message, tokens(message, 3, [piece(1, "lo", 3)]));
    expect(await cancelledOf(message)).toEqual([]);
  });

  it("does not cancel what another still reads", async () => {
    const message = await leftBy({ "x-resumable": "1" });
    const back = await call(`/v1/jobs/${message.id}/events`, { method: "GET" });
    await tell(message, tokens(message, 3, [piece(1, "lo", 3)]));
    expect(await cancelledOf(message)).toEqual([]);
    await tell(message, generated(message, 4, ["Hello"]));
    expect((await new SseReader(back).rest()).at(-1)?.event).toBe("completed");
  });
});

describe("a shard that is put away", () => {
  it("has its readers told, in an error event", async () => {
    const response = openStream(fresh());
    const message = await sent(world);
    await tell(message, tokens(message, 2, [piece(0, "Hel")]));
    const reader = new SseReader(await response);
    await reader.next();
    await reader.next();
    await abortAllDurableObjects();
    expect(await reader.next()).toMatchObject({ data: { error: { code: "internal_error" } } });
    expect(await reader.next()).toBeNull();
  });
});
