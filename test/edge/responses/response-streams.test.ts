/** Responses while they are written: their events, who goes on reading, who hangs up, what was struck down. */
import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { SseReader } from "../../sse-reader.ts";
import { call, failed, report, sent, started } from "../jobs/caller-and-worker.ts";
import { openOutsideWorld, type OutsideWorld } from "../jobs/outside-world.ts";
import { generated, tokens, writer } from "../jobs/streams-in-tests.ts";
import type { ErrorBody } from "../caller.ts";
import { announce } from "../stand-in-worker.ts";
import { endToken, token } from "../written.ts";
import type { ResponseBody } from "./responses-in-tests.ts";
import {
  background,
  create,
  ends,
  get,
  numbersOf,
  path,
  pieces,
  queued,
  reader,
  readSome,
  responseOf,
  told,
  typesOf,
  upTo,
  whole,
} from "./streamed-responses.ts";

let world: OutsideWorld;

beforeEach(async () => {
  world = openOutsideWorld();
  await announce([{ ...writer, tasks: ["chat-completion"] }]);
});
afterEach(() => vi.restoreAllMocks());

const errorOf = async (body: object) => (await create(body)).json<ErrorBody>();

describe("a stream", () => {
  it("tells OpenAI's events in order, each numbered and named, and ends with the response", async () => {
    const opened = create({ stream: true });
    const message = await sent(world);
    await report(message.shard, [started(message), tokens(message, 2, [...pieces])]);
    const response = await opened;
    const stream = new SseReader(response);
    const first = await stream.next();
    const { id } = (first?.data["response"] ?? {}) as ResponseBody;
    expect((await get(id)).status).toBe("in_progress");
    await report(message.shard, [ends(message)]);
    const events = [first, ...(await stream.rest())].flatMap((event) => event ?? []);
    expect(typesOf(events)).toEqual(whole);
    expect(events.map(({ event }) => event)).toEqual(whole);
    expect(numbersOf(events)).toEqual(upTo(whole.length));
    expect(events[4]?.data).toMatchObject({ delta: "In", output_index: 0, content_index: 0 });
    expect(events[6]?.data).toMatchObject({ text: "In Paris." });
    const last = events.at(-1)?.data["response"];
    expect(last).toMatchObject({ id, status: "completed", output: [{ status: "completed" }] });
    expect(await get(id)).toEqual(last);
    expect(response.headers.get("x-job-id")).toContain(id.replace("resp_", ""));
  });

  it("tells log probabilities with its text, and all of them at the end", async () => {
    const opened = create({ stream: true, include: ["message.output_text.logprobs"] });
    const message = await sent(world);
    const told2 = [
      told(0, "In", 0, { logprobs: [token("In")] }),
      told(1, " Paris.", 2, { logprobs: [token(" Paris."), endToken], finishReason: "length" }),
    ];
    await report(message.shard, [tokens(message, 2, told2), ends(message)]);
    const events = await new SseReader(await opened).rest();
    const deltas = events.filter(({ data }) => data["type"] === "response.output_text.delta");
    expect(deltas.map(({ data }) => (data["logprobs"] as object[]).length)).toEqual([1, 1]);
    const done = events.find(({ data }) => data["type"] === "response.output_text.done");
    expect(done?.data["logprobs"]).toHaveLength(2);
    expect(events.at(-1)?.data).toMatchObject({
      type: "response.incomplete",
      response: {
        incomplete_details: { reason: "max_output_tokens" },
        output: [{ status: "incomplete", content: [{ logprobs: { length: 2 } }] }],
      },
    });
  });

  it("is an error's status where nothing was told, and says that it failed where something was", async () => {
    const refused = create({ stream: true });
    const first = await sent(world);
    await report(first.shard, [failed(first)]);
    expect((await refused).status).toBe(400);
    const opened = create({ stream: true });
    const message = await sent(world, 1);
    await report(message.shard, [tokens(message, 2, [pieces[0]]), failed(message, 3)]);
    const events = await new SseReader(await opened).rest();
    const last = events.at(-1)?.data;
    expect(last).toMatchObject({
      type: "response.failed",
      response: { status: "failed", error: { code: "invalid_prompt", message: "too long" } },
    });
    const { id } = responseOf(last);
    expect(await get(id)).toMatchObject({ status: "failed", error: { code: "invalid_prompt" } });
  });

  it("of an empty answer, or of blanks, has an item all the same", async () => {
    for (const [index, text] of ["", "\n "].entries()) {
      const opened = create({ stream: true });
      const message = await sent(world, index);
      const end = generated(message, 9, [text]);
      await report(message.shard, [end]);
      const events = await new SseReader(await opened).rest();
      const last = events.at(-1)?.data["response"] as ResponseBody;
      expect(last.output).toMatchObject([{ type: "message", content: [{ text }] }]);
      expect((await get(last.id)).output).toEqual(last.output);
    }
  });
});

describe("a response in the background", () => {
  it("is answered at once, and goes on", async () => {
    const { id, body, message } = await background(world);
    expect(body).toMatchObject({ status: "queued", background: true, output: [] });
    expect(body.usage).toBeUndefined();
    await report(message.shard, [started(message)]);
    expect((await get(id)).status).toBe("in_progress");
    await report(message.shard, [ends(message)]);
    expect(await get(id)).toMatchObject({ status: "completed", output: [{ type: "message" }] });
  });

  it("is read from any event on, exactly once, while it runs and after", async () => {
    const opened = create({ background: true, stream: true });
    const message = await sent(world);
    await report(message.shard, [started(message), tokens(message, 2, [pieces[0]])]);
    const stream = new SseReader(await opened);
    const events = await readSome(stream, 4);
    const { id } = responseOf(events[0]?.data);
    const later = await reader(id, "&starting_after=3");
    const next = await later.next();
    expect(next?.data).toMatchObject({ sequence_number: 4 });
    await report(message.shard, [tokens(message, 3, [pieces[1]]), ends(message)]);
    const all = [...events, ...(next === null ? [] : [next]), ...(await later.rest())];
    expect(typesOf(all)).toEqual(queued);
    expect(numbersOf(all)).toEqual(upTo(queued.length));
    expect([...events, ...(await stream.rest())].map(({ data }) => data)).toEqual(
      all.map(({ data }) => data),
    );
    for (const after of [-1, 0, 5, queued.length - 2]) {
      const query = after < 0 ? "" : `&starting_after=${after}`;
      const rest = await (await reader(id, query)).rest();
      expect(rest.map(({ data }) => data)).toEqual(all.slice(after + 1).map(({ data }) => data));
    }
    expect(await (await reader(id, `&starting_after=${queued.length - 1}`)).rest()).toEqual([]);
  });

  it("is told from any event on where it came from the cache", async () => {
    const asked = { input: "kept", temperature: 0 };
    const first = create(asked);
    const message = await sent(world);
    await report(message.shard, [ends(message)]);
    await first;
    const stream = new SseReader(await create({ ...asked, background: true, stream: true }));
    const events = await stream.rest();
    const { id } = responseOf(events[0]?.data);
    expect(typesOf(events).at(-1)).toBe("response.completed");
    expect(world.messages).toHaveLength(1);
    const rest = await (await reader(id, "&starting_after=3")).rest();
    expect(rest.map(({ data }) => data)).toEqual(events.slice(4).map(({ data }) => data));
  });

  it("is cancelled when that is asked for, and whoever reads it is told", async () => {
    const { id, message } = await background(world);
    await report(message.shard, [started(message)]);
    const reading = await reader(id);
    const cancel = () => call(`${path}/${id}/cancel`);
    expect(await (await cancel()).json()).toMatchObject({ id, status: "cancelled", output: [] });
    expect((await report(message.shard, [], [message.id])).cancelled).toEqual([message.id]);
    expect((await get(id)).status).toBe("cancelled");
    expect(await (await cancel()).json()).toMatchObject({ status: "cancelled" });
    const again = await (await reader(id)).rest();
    expect(again.at(-1)?.data).toMatchObject({ response: { status: "cancelled" } });
    await reading.next();
    const follow = await create({ previous_response_id: id });
    expect(follow.status).toBe(400);
  });

  it("is cancelled when it is deleted", async () => {
    const { id, message } = await background(world);
    await report(message.shard, [started(message)]);
    await call(`${path}/${id}`, { method: "DELETE" });
    expect((await report(message.shard, [], [message.id])).cancelled).toEqual([message.id]);
  });
});

describe("a job that is asked for by Prefer", () => {
  it("has the response as its output", async () => {
    const asked = { model: writer.id, input: "by Prefer" };
    const prefer = { headers: { prefer: "respond-async" }, body: asked };
    const response = await call(path, prefer);
    expect(response.status).toBe(202);
    const { id } = await response.json<{ id: string }>();
    const message = await sent(world);
    await report(message.shard, [ends(message)]);
    const job = await call(`/v1/jobs/${id}`, { method: "GET" });
    const { output } = await job.json<{ output: ResponseBody }>();
    expect(await get(output.id)).toEqual(output);
  });
});

describe("a response of a megabyte and more", () => {
  it("is kept from object storage, in characters of several bytes", async () => {
    const { id, message } = await background(world);
    const text = "\u{1f30d}é".repeat(300_000);
    await report(message.shard, [generated(message, 2, [text])]);
    expect(world.objects.size).toBe(1);
    expect((await get(id)).output[0]?.content[0]?.text === text).toBe(true);
    // From now on of our own copy, from which another goes on.
    world.objects.clear();
    expect((await get(id)).output[0]?.content[0]?.text === text).toBe(true);
    const next = create({ previous_response_id: id, input: "x".repeat(150_000) });
    const following = await sent(world, 1);
    expect(following.inputs).toMatchObject({ bytes: expect.any(Number) });
    const [given] = [...world.objects.values()].map((bytes) => new TextDecoder().decode(bytes));
    expect(given?.includes(text)).toBe(true);
    await report(following.shard, [ends(following)]);
    // What follows that in turn is more than any model reads.
    const { id: last } = await (await next).json<ResponseBody>();
    const long = await errorOf({ previous_response_id: last });
    expect(long.error).toMatchObject({
      code: "context_length_exceeded",
      param: "previous_response_id",
    });
    expect(long.error.message).toMatch(
      /over 3 items or 105\d{4} characters; the limit is 2048 items and 1000000/,
    );
    const { output } = await get(id);
    const named = [1, 2].map(() => ({ type: "item_reference", id: output[0]?.id }));
    expect((await errorOf({ input: named })).error).toMatchObject({
      code: "context_length_exceeded",
      param: "input",
    });
  });
});

describe("a caller that hangs up", () => {
  it.each([[true], [false]])("has its response cancelled: stream %s", async (stream) => {
    const hangUp = new AbortController();
    const opened = create({ stream }, hangUp.signal);
    const message = await sent(world);
    const events = [started(message), tokens(message, 2, [pieces[0]])];
    await report(message.shard, events);
    const reading = stream ? new SseReader(await opened) : null;
    const id = reading === null ? null : responseOf((await reading.next())?.data).id;
    if (id !== null) expect((await get(id)).status).toBe("in_progress");
    hangUp.abort();
    await vi.waitFor(async () =>
      expect((await report(message.shard, [], [message.id])).cancelled).toEqual([message.id]),
    );
    if (id !== null) expect((await get(id)).status).toBe("cancelled");
    await opened.catch(() => null);
  });
});

describe("a call that is not answered in time", () => {
  it("is told of its job, and its response is kept all the same", async () => {
    const bindings = { SYNC_WINDOW_SECONDS: "0.02" };
    const body = { model: writer.id, input: "slow" };
    const response = await call(path, { body, bindings });
    expect(response.status).toBe(504);
    const message = await sent(world);
    await report(message.shard, [ends(message)]);
    const job = await call(response.headers.get("location") ?? "", { method: "GET" });
    const { output } = await job.json<{ output: ResponseBody }>();
    expect(output.status).toBe("completed");
    expect(await get(output.id)).toEqual(output);
  });
});

describe("what was struck down", () => {
  it("is finished by the worker's word, and looked up by the alarm", async () => {
    const { id, message } = await background(world);
    await report(message.shard, [started(message)]);
    await abortAllDurableObjects();
    expect((await get(id)).status).toBe("in_progress");
    await report(message.shard, [ends(message)]);
    const responses = env.RESPONSES.getByName("operator");
    const status = () =>
      runInDurableObject(responses, (_, { storage: { sql } }) =>
        sql.exec("SELECT status FROM responses WHERE id = ?", id).one(),
      );
    expect(await status()).toEqual({ status: "open" });
    await runInDurableObject(responses, (_, { storage: { sql } }) => {
      sql.exec("UPDATE responses SET look_at = 1 WHERE id = ?", id);
    });
    expect(await runDurableObjectAlarm(responses)).toBe(true);
    expect(await status()).toEqual({ status: "succeeded" });
  });

  it("has failed where its job never got there", async () => {
    const { id } = await background(world);
    const responses = env.RESPONSES.getByName("operator");
    await runInDurableObject(responses, (_, { storage: { sql } }) => {
      const job = `job_0_${"0".repeat(32)}`;
      sql.exec(
        "UPDATE responses SET job = ?, created_at = created_at - 61000 WHERE id = ?",
        job,
        id,
      );
    });
    expect(await get(id)).toMatchObject({ status: "failed", error: { code: "server_error" } });
  });

  it("is answered where its shard was struck down under the call", async () => {
    const held = create({});
    const message = await sent(world);
    await abortAllDurableObjects();
    expect((await sent(world, 1)).id).toBe(message.id);
    await report(message.shard, [ends(message)]);
    const body = await (await held).json<ResponseBody>();
    expect(body).toMatchObject({ status: "completed" });
    expect(await get(body.id)).toEqual(body);
  });

  it("is read on where its shard was struck down under a stream that had told nothing", async () => {
    const held = create({ stream: true });
    const message = await sent(world);
    await abortAllDurableObjects();
    await report(message.shard, [started(message), ends(message)]);
    const events = await new SseReader(await held).rest();
    expect(typesOf(events).at(-1)).toBe("response.completed");
    expect((await get(responseOf(events[0]?.data).id)).status).toBe("completed");
    expect(world.messages).toHaveLength(1);
  });
});
