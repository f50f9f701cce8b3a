/** Streams of chat, completions and text generation: what a caller reads, of what a worker wrote. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Usage } from "../../../contract/result-document.ts";
import type { Choice } from "../../../contract/tasks/generation.ts";
import { call } from "../jobs/caller-and-worker.ts";
import { type SseEvent, SseReader } from "../../sse-reader.ts";
import { announce, decoder, install } from "../stand-in-worker.ts";
import { paris, promptAlone, told, usageShown, used, writing } from "../written.ts";

const model = decoder.id;
type Headers = Record<string, string>;
type Written = { choices?: Choice[]; headers?: Headers; usage?: Usage };
const unstored: Headers = { "cache-control": "no-store" };

beforeEach(() => announce([decoder]));
afterEach(() => vi.unstubAllGlobals());

async function stream(
  path: string,
  body: object,
  { choices = [paris], headers = unstored, usage = used }: Written = {},
): Promise<SseEvent["data"][]> {
  install(writing(choices, usage));
  const response = await call(path, { body: { model, stream: true, ...body }, headers });
  expect([response.status, response.headers.get("content-type")]).toEqual([
    200,
    "text/event-stream; charset=utf-8",
  ]);
  const events = await new SseReader(response).rest();
  expect(events.every(({ event }) => event === undefined)).toBe(true);
  return events.map(({ data }) => data);
}

const messages = [{ role: "user", content: "Where?" }];
const chat = (body: object, options: Parameters<typeof stream>[2] = {}) =>
  stream("/v1/chat/completions", { messages, ...body }, options);

type Chunk = {
  id: string;
  created: number;
  choices: {
    index: number;
    delta: {
      content?: string;
      tool_calls?: { index: number; id?: string; function: { arguments: string } }[];
    };
  }[];
};

describe("a stream of chat", () => {
  it("begins with the role, ends with the reason and [DONE], and is one answer", async () => {
    const events = await chat({});
    expect(events.at(-1)).toEqual({ done: true });
    const chunks = events.slice(0, -1) as Chunk[];
    const [first, ...others] = chunks;
    expect(first).toMatchObject({
      object: "chat.completion.chunk",
      model,
      choices: [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }],
    });
    expect(first?.id).toMatch(/^chatcmpl-[0-9a-f]{32}$/);
    for (const { id, created } of others) {
      expect({ id, created }).toEqual({ id: first?.id, created: first?.created });
    }
    const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
    expect(text).toBe(paris.text);
    expect(chunks.at(-1)).toMatchObject({ choices: [{ delta: {}, finish_reason: "stop" }] });
    expect(events.some((event) => "usage" in event)).toBe(false);
  });

  it("tells the usage last where it is asked for", async () => {
    const events = await chat({ stream_options: { include_usage: true } });
    expect(events.at(-2)).toMatchObject({ choices: [], usage: usageShown });
    expect(events.slice(0, -2).every(({ usage }) => usage === null)).toBe(true);
  });

  it("tells each of n choices by its index, with its log probabilities", async () => {
    const events = await chat({ n: 2, logprobs: true }, { choices: [told, told] });
    const chunks = events.slice(0, -1) as Chunk[];
    for (const index of [0, 1]) {
      const own = chunks.flatMap(({ choices }) => choices).filter((each) => each.index === index);
      expect(own.map(({ delta }) => delta.content ?? "").join("")).toBe(told.text);
      expect(JSON.stringify(own)).toContain('"token":" Paris","logprob":-0.25');
    }
  });

  it("tells calls of tools after what is said, a part at a time, cut between characters", async () => {
    const long = `{"city": "${"é😀".repeat(12_000)}"}`;
    const calls = [long, "{}"].map((given, at) => ({
      id: `call_${at}`,
      name: "f",
      arguments: given,
    }));
    const choice: Choice = { ...paris, finish_reason: "tool_calls", tool_calls: calls };
    const tools = [{ type: "function", function: { name: "f" } }];
    const chunks = (await chat({ tools }, { choices: [choice] })).slice(0, -1) as Chunk[];
    const grown = chunks.flatMap(({ choices }) => choices[0]?.delta.tool_calls ?? []);
    const parts = [0, 1].map((index) => grown.filter((each) => each.index === index));
    expect(parts[0]?.length).toBeGreaterThan(1);
    for (const [index, own] of parts.entries()) {
      expect(own.map((each) => each.function.arguments).join("")).toBe(calls[index]?.arguments);
      expect(own.flatMap(({ id }) => id ?? [])).toEqual([`call_${index}`]);
      expect(own.every((each) => each.function.arguments.isWellFormed())).toBe(true);
    }
    expect(chunks.at(-1)).toMatchObject({ choices: [{ finish_reason: "tool_calls" }] });
    const older = (await chat({ functions: [{ name: "f" }] }, { choices: [choice] })).slice(0, -1);
    expect(JSON.stringify(older)).toContain('"function_call":{"name":"f","arguments":"{');
    expect(older.at(-1)).toMatchObject({ choices: [{ finish_reason: "function_call" }] });
  });

  it("is a stream again where its answer was kept", async () => {
    const content = "kept as a stream";
    const asked = { messages: [{ role: "user", content }], temperature: 0 };
    for (const _ of ["computed", "from the cache", "once more", "and again"]) {
      const events = await chat(asked, { headers: {} });
      const chunks = events.slice(0, -1) as Chunk[];
      const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
      expect(text).toBe(paris.text);
    }
    const whole = { model, ...asked };
    const response = await call("/v1/chat/completions", { body: whole });
    expect(response.headers.get("x-cache")).toBe("hit");
    expect(await response.json()).toMatchObject({ object: "chat.completion" });
  });
});

describe("a stream of completions", () => {
  it("numbers the choices of all prompts", async () => {
    const body = { prompt: ["a", "b"], n: 2 };
    const events = await stream("/v1/completions", body, { choices: [paris, paris] });
    expect(events.at(-1)).toEqual({ done: true });
    const choices = events.slice(0, -1).flatMap((event) => event["choices"] as { index: number }[]);
    expect(new Set(choices.map(({ index }) => index))).toEqual(new Set([0, 1, 2, 3]));
    expect(choices[0]).toEqual({
      text: paris.text,
      index: 0,
      logprobs: null,
      finish_reason: "stop",
    });
  });

  it("tells a prompt alone, where nothing is to be written", async () => {
    const body = { prompt: "Where?", max_tokens: 0, echo: true, logprobs: 0 };
    const usage = { promptTokens: 1, completionTokens: 0 };
    const events = await stream("/v1/completions", body, { choices: [promptAlone], usage });
    const [chunk, ...rest] = events;
    expect(chunk).toMatchObject({
      choices: [{ text: "Where?", finish_reason: "length", logprobs: { tokens: ["Where?"] } }],
    });
    expect(rest).toEqual([{ done: true }]);
  });

  it("tells TGI's tokens too behind a model's address", async () => {
    const path = `/hf/models/${model}/v1/completions`;
    const events = await stream(path, { prompt: "Where?" }, { choices: [told] });
    const tokens = events.slice(0, -1);
    const texts = tokens.map(({ token }) => (token as { text: string }).text);
    expect(texts.join("")).toBe(told.text);
    expect(tokens.at(-1)).toMatchObject({
      object: "text_completion",
      choices: [{ finish_reason: "stop" }],
      generated_text: told.text,
      details: { finish_reason: "eos_token", generated_tokens: 4 },
    });
  });
});

describe("a stream of TGI", () => {
  it("is an event for each token, the last with the text", async () => {
    const path = `/hf/models/${model}`;
    const events = await stream(path, { inputs: "Where?", model: undefined }, { choices: [told] });
    expect(events.map(({ token }) => (token as { text: string }).text).join("")).toBe(told.text);
    expect(events.map(({ index }) => index)).toEqual([1, 2, 3, 4]);
    expect(events.at(-1)).toMatchObject({ generated_text: told.text, details: { seed: null } });
    expect(events.slice(0, -1).every((event) => event["generated_text"] === null)).toBe(true);
  });
});
