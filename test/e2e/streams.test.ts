/**
 * Streams on real processes: edge on workerd, queue server, and workers that write what a script says. kill −9 of a
 * worker, and of workerd, in the middle of them.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { scriptedModel, tokenText } from "../../bench/harness/script-prompt.ts";
import { ScriptedStack } from "../../bench/harness/scripted-stack.ts";
import { type SseEvent, SseReader } from "../sse-reader.ts";

const streams = 16;
const unitsPerDay = 1_000_000;

let stack: ScriptedStack;
let calls = 0;

beforeAll(async () => {
  stack = await ScriptedStack.start({
    FREE_REQUESTS_PER_MINUTE: "1000000",
    FREE_UNITS_PER_DAY: String(unitsPerDay),
    FREE_OPEN_REQUESTS: "1000",
  });
  await stack.run("worker");
  await stack.modelKnown();
});

afterAll(() => stack.stop());

type Asked = { tokens: number; call?: string; headers?: Record<string, string> };

/** On the free tier; like no other, unless it is named. */
function ask({ tokens, call, headers = {} }: Asked, signal?: AbortSignal) {
  calls += 1;
  const named = call ?? String(calls);
  const prompt = JSON.stringify({ tokens, everyMs: 20, offsetMs: 0, stamped: false, call: named });
  return fetch(`${stack.url}/v1/tasks/text-generation`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    // With a seed it can be repeated, and so is kept.
    body: JSON.stringify({
      model: scriptedModel.id,
      inputs: [prompt],
      parameters: { seed: 1 },
      stream: true,
    }),
    ...(signal === undefined ? {} : { signal }),
  });
}

const isOutput = ({ event }: SseEvent) => event === "output";
const textOf = (events: SseEvent[]) =>
  events
    .filter(isOutput)
    .map(({ data }) => data["text"])
    .join("");

function written(tokens: number): string {
  const prompt = { tokens, everyMs: 1, offsetMs: 0, stamped: false, call: "" };
  return Array.from({ length: tokens }, (_, index) => tokenText(prompt, index)).join("");
}

/** Asked by a call that is answered from the cache, which costs nothing. */
async function chargedUnits(): Promise<number> {
  const response = await ask({ tokens: 1, call: "charged" });
  await response.text();
  return unitsPerDay - Number(response.headers.get("x-ratelimit-remaining-tokens"));
}

describe("a stream", () => {
  it("tells each token once, in order, as it comes", async () => {
    const response = await ask({ tokens: 40 });
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    const reader = new SseReader(response);
    const events = await reader.rest();
    expect(textOf(events)).toBe(written(40));
    expect(events.filter(isOutput)).toHaveLength(40);
    expect(events.at(-1)?.event).toBe("completed");
    expect(events.map(({ id }) => Number(id))).toEqual(events.map((_, index) => index + 1));
    // Read as they came, not as one.
    expect(reader.chunks).toBeGreaterThan(10);
  });

  it("has its worker give it up when its caller leaves", async () => {
    const leaving = new AbortController();
    const response = await ask({ tokens: 10_000 }, leaving.signal);
    const id = response.headers.get("x-job-id") ?? "";
    await new SseReader(response).next();
    leaving.abort();
    // What nobody wants is forgotten once its worker has said what it took.
    await vi.waitFor(async () =>
      expect((await fetch(`${stack.url}/v1/jobs/${id}/events`)).status).toBe(404),
    );
  });
});

describe("kill −9", () => {
  it("of the worker leaves every stream whole, and charged once", async () => {
    await chargedUnits();
    const before = await chargedUnits();
    const tokens = 50;
    const answers = await Promise.all(Array.from({ length: streams }, () => ask({ tokens })));
    const readers = answers.map((answer) => new SseReader(answer));
    const begun = await Promise.all(
      readers.map(async (reader) => {
        const events: SseEvent[] = [];
        while (events.filter(isOutput).length < 10) {
          const event = await reader.next();
          if (event === null) throw new Error("it ended early");
          events.push(event);
        }
        return events;
      }),
    );
    await stack.kill("worker");
    await stack.run("worker-2");
    const ends = await Promise.all(readers.map((reader) => reader.rest()));
    for (const [index, events] of ends.entries()) {
      const all = [...(begun[index] ?? []), ...events];
      const last = all.at(-1);
      if (last?.event === "error") continue;
      expect(textOf(all)).toBe(written(tokens));
      expect(last?.event).toBe("completed");
    }
    const whole = ends.filter((events) => events.at(-1)?.event === "completed").length;
    // Its prompt is one token. Who was told of an error pays nothing.
    await vi.waitFor(async () => {
      expect((await chargedUnits()) - before).toBe(whole * (1 + tokens));
    });
  });

  it("of workerd breaks the stream, and its job can be read again", async () => {
    const headers = { prefer: "respond-async" };
    const response = await ask({ tokens: 100, headers });
    const id = response.headers.get("x-job-id") ?? "";
    const reader = new SseReader(response);
    for (let told = 0; told < 10; told += 1) await reader.next();
    await stack.killWorkerd();
    // Not an end as of a stream that is whole.
    await expect(reader.rest()).rejects.toThrow(/terminated/);
    await stack.run("edge");
    const events = await new SseReader(await fetch(`${stack.url}/v1/jobs/${id}/events`)).rest();
    expect(textOf(events)).toBe(written(100));
    expect(events.at(-1)?.event).toBe("completed");
    const late = await fetch(`${stack.url}/v1/jobs/${id}/events`, {
      headers: { "last-event-id": "5" },
    });
    const rest = await new SseReader(late).rest();
    // Where the worker came to its end before the edge was back, nobody knows by which events it was told.
    if (rest[0]?.event === "error") expect(rest).toHaveLength(1);
    else expect(rest).toEqual(events.slice(5));
  });

  it("of workerd leaves no response open", async () => {
    const respond = (more: object) => {
      calls += 1;
      const script = { tokens: 60, everyMs: 20, offsetMs: 0, stamped: false, call: String(calls) };
      return fetch(`${stack.url}/v1/responses`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: scriptedModel.id, input: JSON.stringify(script), ...more }),
      });
    };
    type Made = { id: string; status: string; output: { content: { text: string }[] }[] };
    const queued = (await (await respond({ background: true })).json()) as Made;
    const reader = new SseReader(await respond({ stream: true }));
    const streamed = (await reader.next())?.data["response"] as Made;
    for (let told = 0; told < 8; told += 1) await reader.next();
    await stack.killWorkerd();
    await reader.rest().catch(() => []);
    await stack.run("edge");
    for (const { id } of [queued, streamed]) {
      const made = await vi.waitFor(
        async () => {
          const response = await fetch(`${stack.url}/v1/responses/${id}`);
          const body = (await response.json()) as Made;
          // The script ends where its tokens do.
          expect(body.status).toBe("incomplete");
          return body;
        },
        { timeout: 120_000, interval: 200 },
      );
      expect(made.output[0]?.content[0]?.text).toBe(written(60));
    }
  });
});
