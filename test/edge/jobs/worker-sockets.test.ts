/** WebSockets of workers: taken as posts are, each message by itself; and what goes down them unasked. */
import { createExecutionContext } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { EventsResponse } from "../../../contract/events.ts";
import { app } from "../../../edge/app.ts";
import { isolateBindings } from "../isolate.ts";
import { announce } from "../stand-in-worker.ts";
import { sent, signedHeaders, started } from "./caller-and-worker.ts";
import { SseReader } from "../../sse-reader.ts";
import { fresh } from "./jobs-in-tests.ts";
import { openOutsideWorld, type OutsideWorld } from "./outside-world.ts";
import { generated, openStream, piece, tokens, writer } from "./streams-in-tests.ts";

let world: OutsideWorld;

beforeEach(async () => {
  world = openOutsideWorld();
  await announce([writer]);
});

afterEach(() => {
  vi.restoreAllMocks();
});

async function handshake(shard: number, headers: Record<string, string>): Promise<Response> {
  const request = new Request(`https://edge.test/internal/shards/${shard}/events`, { headers });
  return app.fetch(request, isolateBindings(), createExecutionContext());
}

/** A worker's WebSocket, its answers in order. */
async function connect(shard: number) {
  const signed = await signedHeaders("GET", `/internal/shards/${shard}/events`, "");
  const { status, webSocket } = await handshake(shard, { ...signed, upgrade: "websocket" });
  expect(status).toBe(101);
  if (webSocket === null) throw new Error("no WebSocket came");
  webSocket.accept();
  const told: EventsResponse[] = [];
  const closed = new Promise<CloseEvent>((resolve) => webSocket.addEventListener("close", resolve));
  webSocket.addEventListener("message", ({ data }) => {
    told.push(EventsResponse.parse(JSON.parse(String(data))));
  });
  const send = (message: object | string) =>
    webSocket.send(
      typeof message === "string"
        ? message
        : JSON.stringify({ worker: "worker-of-the-test", inFlight: [], events: [], ...message }),
    );
  return { send, told, closed };
}

describe("a worker's WebSocket", () => {
  it("is opened by a signature alone, and by a handshake alone", async () => {
    expect((await handshake(1, { upgrade: "websocket" })).status).toBe(401);
    const signed = await signedHeaders("GET", "/internal/shards/1/events", "");
    expect((await handshake(1, signed)).status).toBe(400);
    expect((await handshake(2, { ...signed, upgrade: "websocket" })).status).toBe(401);
  });

  it("takes events as a post does, and answers each message by its number", async () => {
    const response = openStream(fresh());
    const message = await sent(world);
    const { send, told } = await connect(message.shard);
    send({ message: 7, events: [started(message), tokens(message, 2, [piece(0, "Hel")])] });
    send({ message: 8, events: [generated(message, 3, ["Hello"])] });
    const events = await new SseReader(await response).rest();
    expect(events.map(({ event }) => event)).toEqual(["start", "output", "output", "completed"]);
    await vi.waitFor(() => expect(told).toHaveLength(2));
    const acked = [1, 2].map((sequence) => ({ jobId: message.id, sequence }));
    expect(told[0]).toEqual({ acked, cancelled: [], message: 7 });
    expect(told[1]).toMatchObject({ acked: [{ jobId: message.id, sequence: 3 }], message: 8 });
  });

  it("is told at once of a job that nobody wants any more", async () => {
    const leaving = new AbortController();
    const response = openStream(fresh(), {}, { signal: leaving.signal });
    const message = await sent(world);
    const { send, told } = await connect(message.shard);
    send({ message: 1, inFlight: [message.id], events: [tokens(message, 2, [piece(0, "Hel")])] });
    await response;
    await vi.waitFor(() => expect(told).toHaveLength(1));
    leaving.abort();
    await vi.waitFor(() =>
      expect(told.filter((answer) => answer.message === undefined)).toEqual([
        { acked: [], cancelled: [message.id] },
      ]),
    );
  });

  it.each([
    ["{", 1007],
    ["[]", 1007],
    ['{"worker":"w","events":7,"inFlight":[]}', 1007],
    [`"${"x".repeat(16 * 1024 * 1024)}"`, 1009],
  ])("that says what is none (%.40s) is closed with a reason, and no other", async (text, code) => {
    const bad = await connect(3);
    const good = await connect(3);
    bad.send(text);
    const close = await bad.closed;
    expect(close.code).toBe(code);
    expect(close.reason).not.toBe("");
    good.send({ message: 1 });
    await vi.waitFor(() => expect(good.told).toEqual([{ acked: [], cancelled: [], message: 1 }]));
  });

  it("has an event that is none refused by itself", async () => {
    const { send, told } = await connect(4);
    send({ message: 1, events: [{ type: "odd" }] });
    await vi.waitFor(() => expect(told[0]?.refused).toMatchObject([{ index: 0 }]));
  });
});
