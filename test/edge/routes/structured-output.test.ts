/** What a text must look like, as OpenAI, vLLM and TGI word it: what a worker is told, and what is refused. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { SseReader } from "../../sse-reader.ts";
import { call, errorOf } from "../caller.ts";
import { call as callInStream } from "../jobs/caller-and-worker.ts";
import { announce, decoder, install, messages } from "../stand-in-worker.ts";
import { paris, used, usageShown, writing } from "../written.ts";

const headers = { "cache-control": "no-store" };

beforeEach(async () => {
  install(writing([paris]));
  await announce([decoder]);
});
afterEach(() => vi.unstubAllGlobals());

function post(path: string, body: object): Promise<Response> {
  return call(path, body, { operator: true, headers });
}

const routes = {
  chat: (body: object) =>
    post("/v1/chat/completions", {
      model: decoder.id,
      messages: [{ role: "user", content: "a" }],
      ...body,
    }),
  completions: (body: object) =>
    post("/v1/completions", { model: decoder.id, prompt: "a", ...body }),
  tgi: (grammar: object) =>
    post(`/hf/models/${decoder.id}/pipeline/text-generation`, {
      inputs: "a",
      parameters: { grammar },
    }),
} as const;
type Route = keyof typeof routes;

const schema = { type: "object", properties: { a: { type: ["string", "null"], const: null } } };
const json = { type: "json_schema", schema: JSON.stringify(schema) };
const named = { type: "json_schema", json_schema: { name: "a-b_1", schema, strict: true } };

describe("a worker is told of", () => {
  it.each<[Route, object, object]>([
    ["chat", { response_format: named }, json],
    ["completions", { response_format: named }, json],
    [
      "chat",
      { response_format: { type: "json_schema", json_schema: { name: "a", strict: null } } },
      { type: "json_object" },
    ],
    ["chat", { response_format: { type: "json_object" } }, { type: "json_object" }],
    ["chat", { response_format: { type: "json_object", value: schema } }, json],
    ["chat", { response_format: { type: "json", value: schema } }, json],
    ["chat", { response_format: { type: "regex", value: "a+" } }, { type: "regex", pattern: "a+" }],
    ["chat", { structured_outputs: { json: schema } }, json],
    ["completions", { structured_outputs: { json: JSON.stringify(schema) } }, json],
    ["completions", { structured_outputs: { regex: "[ab]" } }, { type: "regex", pattern: "[ab]" }],
    [
      "chat",
      { structured_outputs: { choice: ["a", "b"] } },
      { type: "choice", choices: ["a", "b"] },
    ],
    [
      "chat",
      { structured_outputs: { grammar: 'root ::= "a"' } },
      { type: "grammar", grammar: 'root ::= "a"' },
    ],
    ["chat", { structured_outputs: { json_object: true } }, { type: "json_object" }],
    [
      "chat",
      { structured_outputs: { structural_tag: "{}" } },
      { type: "structural_tag", tag: "{}" },
    ],
    ["tgi", { type: "json", value: schema }, json],
    ["tgi", { type: "json_schema", value: { name: "a", schema } }, json],
    ["tgi", { type: "regex", value: "a|b" }, { type: "regex", pattern: "a|b" }],
  ])("%s: %j", async (route, body, structure) => {
    expect((await routes[route](body)).status).toBe(200);
    expect(messages[0]?.parameters).toMatchObject({ structure });
  });

  it("nothing where any text will do", async () => {
    expect((await routes.chat({ response_format: { type: "text" } })).status).toBe(200);
    expect(messages[0]?.parameters).not.toHaveProperty("structure");
  });
});

const deep = (levels: number): object => (levels === 0 ? {} : { items: deep(levels - 1) });

describe("refused", () => {
  it.each<[Route, object, string, string]>([
    ["chat", { response_format: { type: "xml" } }, "invalid_value", "response_format.type"],
    [
      "chat",
      { response_format: { type: "json_schema", json_schema: { schema } } },
      "missing_required_parameter",
      "response_format.json_schema.name",
    ],
    [
      "chat",
      { response_format: { type: "json_schema", json_schema: { name: "a", schema: deep(120) } } },
      "invalid_json_schema",
      "response_format.json_schema.schema",
    ],
    [
      "completions",
      { structured_outputs: { json: { const: "x".repeat(400_000) } } },
      "invalid_json_schema",
      "structured_outputs.json",
    ],
    ["chat", { structured_outputs: {} }, "invalid_value", "structured_outputs"],
    [
      "chat",
      { structured_outputs: { regex: "a", choice: ["a"] } },
      "invalid_value",
      "structured_outputs",
    ],
    [
      "chat",
      { structured_outputs: { regex: "a" }, response_format: { type: "json_object" } },
      "invalid_value",
      "structured_outputs",
    ],
    ["chat", { structured_outputs: { choice: [] } }, "invalid_value", "structured_outputs.choice"],
    [
      "chat",
      { structured_outputs: { whitespace: 1 } },
      "unknown_parameter",
      "structured_outputs.whitespace",
    ],
    ["tgi", { type: "regex" }, "missing_required_parameter", "parameters.grammar.value"],
  ])("by the field, %s: %j", async (route, body, code, param) => {
    const response = await routes[route](body);
    if (route !== "tgi")
      expect(await errorOf(response)).toMatchObject({ status: 400, code, param });
    else expect(await response.json()).toMatchObject({ error_detail: { code, param } });
    expect(messages).toHaveLength(0);
  });

  it.each<[object, string]>([
    [{ type: "xml" }, 'response_format.type must be one of "text", "json_object", "json_schema"'],
    [{}, 'Missing required parameter: response_format.type. Send one of "text", "json_object"'],
    [
      { type: "json_schema", json_schema: { name: "a", schema: [] } },
      "where an object is expected",
    ],
  ])("with what may be sent: %j", async (response_format, words) => {
    expect((await errorOf(await routes.chat({ response_format }))).message).toContain(words);
  });

  it.each<[Route, object, string]>([
    ["chat", { response_format: named }, "response_format.json_schema.schema"],
    ["chat", { response_format: named, stream: true }, "response_format.json_schema.schema"],
    ["completions", { structured_outputs: { json: schema } }, "structured_outputs.json"],
    ["tgi", { type: "json", value: schema }, "parameters.grammar.value"],
  ])("by a worker, in the caller's words: %s", async (route, body, param) => {
    const message = "structure cannot be kept to: at #/not, not is not kept to here.";
    install(() => ({ code: "invalid_json_schema", message, param: "structure" }));
    const text = await (await routes[route](body)).text();
    expect(text).toContain('"invalid_json_schema"');
    expect(text).toContain(`"param":"${param}"`);
    expect(text).toContain("cannot be kept to: at #/not");
  });
});

describe("tokens that nothing else could come instead of", () => {
  it("are told in the usage, whole and streamed", async () => {
    const completion_tokens_details = { forced_tokens: 3 };
    const usage = { ...usageShown, completion_tokens_details };
    install(writing([paris], { ...used, forcedTokens: 3 }));
    const whole = await routes.chat({ response_format: named });
    expect(await whole.json()).toMatchObject({ usage });
    const body = { model: decoder.id, messages: [{ role: "user", content: "a" }], stream: true };
    const options = { stream_options: { include_usage: true }, response_format: named };
    const streamed = await callInStream("/v1/chat/completions", {
      body: { ...body, ...options },
      headers,
    });
    const events = await new SseReader(streamed).rest();
    expect(events.at(-2)?.data).toMatchObject({ choices: [], usage });
  });
});
