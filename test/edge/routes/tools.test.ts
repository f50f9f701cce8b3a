/** Tools of POST /v1/chat/completions: what a worker is told, what callers are told of calls, what is refused. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Choice } from "../../../contract/tasks/generation.ts";
import { call, type CallOptions, errorOf, freshAddress } from "../caller.ts";
import { announce, decoder, install, messages } from "../stand-in-worker.ts";
import { paris, writing } from "../written.ts";

const path = "/v1/chat/completions";
const model = decoder.id;
const question = { role: "user", content: "How warm is it in Paris?" };
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const weather = { name: "weather", description: "Tells it.", parameters: schema };
const tool = (own: object = weather) => ({ type: "function", function: own });
const told = { ...weather, parameters: JSON.stringify(schema) };
const unstored = { "cache-control": "no-store" };

const calling: Choice = {
  text: "",
  finish_reason: "tool_calls",
  tokens: 9,
  logprobs: null,
  tool_calls: [
    { id: "call_1", name: "weather", arguments: '{"city": "Paris"}' },
    { id: "call_2", name: "weather", arguments: '{"city": "Rome"}' },
  ],
};

beforeEach(async () => {
  install(writing([paris]));
  await announce([decoder]);
});
afterEach(() => vi.unstubAllGlobals());

function chat(body: object, options: CallOptions = {}): Promise<Response> {
  const whole = { model, messages: [question], ...body };
  return call(path, whole, { operator: true, headers: unstored, ...options });
}

describe("what a worker is told of tools", () => {
  const tools = [tool(), tool({ name: "now" })];
  const both = [told, { name: "now" }];
  it.each<[string, object, object]>([
    ["their schemas as text", { tools }, { tools: both }],
    [
      "nothing that says nothing",
      { tools, tool_choice: "auto", parallel_tool_calls: true },
      { tools: both },
    ],
    [
      "nothing of what must be so in any case",
      { tools: [tool({ ...weather, strict: true, description: null })] },
      { tools: [{ name: "weather", parameters: told.parameters }] },
    ],
    [
      "that one must be called",
      { tools, tool_choice: "required" },
      { tools: both, tool_choice: "required" },
    ],
    [
      "which one must be called",
      { tools, tool_choice: { type: "function", function: { name: "now" } } },
      { tools: both, tool_choice: { name: "now" } },
    ],
    [
      "which one, as TGI's callers say it",
      { tools, tool_choice: { function: { name: "now" } } },
      { tools: both, tool_choice: { name: "now" } },
    ],
    [
      "which of them may be called",
      {
        tools,
        tool_choice: {
          type: "allowed_tools",
          allowed_tools: { mode: "auto", tools: [tool({ name: "now" })] },
        },
      },
      { tools: both, tool_choice: { mode: "auto", names: ["now"] } },
    ],
    [
      "that no two are called at once",
      { tools, parallel_tool_calls: false },
      { tools: both, parallel_tool_calls: false },
    ],
    ["none where none may be called", { tools, tool_choice: "none" }, {}],
    ["none where there are none", { tools: [], tool_choice: "auto", functions: null }, {}],
    [
      "functions as tools, called one at a time",
      { functions: [weather], function_call: { name: "weather" } },
      { tools: [told], tool_choice: { name: "weather" }, parallel_tool_calls: false },
    ],
  ])("%s", async (_, body, parameters) => {
    const response = await chat(body);
    expect(response.status).toBe(200);
    expect(response.headers.get("x-warnings")).toBeNull();
    expect(messages[0]?.parameters).toEqual(parameters);
  });

  it("calls and what came of them, in both of OpenAI's words", async () => {
    const own = { name: "weather", arguments: "{}" };
    const asked = [
      question,
      { role: "assistant", tool_calls: [{ id: "a", type: "function", function: own, index: 0 }] },
      { role: "tool", tool_call_id: "a", content: [{ type: "text", text: "21" }] },
      { role: "assistant", content: null, function_call: own },
      { role: "function", name: "weather", content: "22" },
    ];
    expect((await chat({ messages: asked })).status).toBe(200);
    expect(messages[0]?.inputs).toEqual([
      {
        messages: [
          question,
          { role: "assistant", content: "", tool_calls: [{ id: "a", ...own }] },
          { role: "tool", content: [{ text: "21" }], tool_call_id: "a" },
          { role: "assistant", content: "", tool_calls: [{ id: "function_3", ...own }] },
          { role: "tool", content: "22", name: "weather", tool_call_id: "function_3" },
        ],
      },
    ]);
  });
});

type Shown = { choices: { message: object; finish_reason: string }[] };

describe("calls in an answer", () => {
  it("are OpenAI's, and beside them nothing is said", async () => {
    install(writing([calling, { ...calling, text: "Wait." }]));
    const { choices } = await (await chat({ tools: [tool()], n: 2 })).json<Shown>();
    const tool_calls = [
      {
        id: "call_1",
        type: "function",
        function: { name: "weather", arguments: '{"city": "Paris"}' },
      },
      {
        id: "call_2",
        type: "function",
        function: { name: "weather", arguments: '{"city": "Rome"}' },
      },
    ];
    const message = { role: "assistant", content: null, refusal: null, tool_calls };
    expect(choices[0]).toMatchObject({ message, finish_reason: "tool_calls" });
    expect(choices[1]?.message).toEqual({ ...message, content: "Wait." });
  });

  it("are told in the older words to who declared functions", async () => {
    install(writing([calling]));
    const { choices } = await (await chat({ functions: [weather] })).json<Shown>();
    expect(choices[0]?.finish_reason).toBe("function_call");
    expect(choices[0]?.message).toEqual({
      role: "assistant",
      content: null,
      refusal: null,
      function_call: { name: "weather", arguments: '{"city": "Paris"}' },
    });
  });
});

function nested(depth: number): object {
  let value: object = { type: "object" };
  for (let at = 0; at < depth; at += 1) value = { type: "object", properties: { a: value } };
  return value;
}

function assistant(more: object): object {
  return { messages: [question, { role: "assistant", ...more }] };
}

describe("tools that are wrong", () => {
  const many = Array.from({ length: 129 }, (_, at) => tool({ name: `f${at}` }));
  const made = { id: "a", type: "function", function: { name: "f", arguments: "{}" } };
  it.each<[string, object, RegExp]>([
    ["tools", { tools: many }, /limit of 128/],
    ["tools", { tools: [tool(), tool()] }, /weather twice/],
    ["tools", { tools: "weather" }, /array/],
    ["tools[0].function.name", { tools: [tool({ name: "a b" })] }, /letters, digits/],
    ["tools[0].function.name", { tools: [tool({ name: "a".repeat(65) })] }, /1 to 64/],
    [
      "tools[0].function.parameters",
      { tools: [tool({ name: "f", parameters: { type: "array" } })] },
      /"object"/,
    ],
    [
      "tools[0].function.parameters",
      { tools: [tool({ name: "f", parameters: nested(40) })] },
      /64 objects/,
    ],
    [
      "tools[0].function.parameters",
      { tools: [tool({ name: "f", parameters: nested(100_000) })] },
      /64 objects/,
    ],
    [
      "tools",
      {
        tools: [
          tool({ name: "f", description: "é".repeat(40_000) }),
          tool({ name: "g", description: "é".repeat(40_000) }),
        ],
      },
      /80002 characters.*65536/,
    ],
    [
      "tools[0].function.parameters",
      { tools: [tool({ name: "f", parameters: { title: "é".repeat(70_000) } })] },
      /70012 characters.*65536/,
    ],
    ["tool_choice", { tools: [tool()], tool_choice: "always" }, /"none", "auto", "required"/],
    [
      "tool_choice",
      { tools: [tool()], tool_choice: { type: "function", function: { name: "g" } } },
      /no tool g/,
    ],
    [
      "tool_choice.allowed_tools.mode",
      {
        tools: [tool()],
        tool_choice: { type: "allowed_tools", allowed_tools: { mode: "any", tools: [tool()] } },
      },
      /"auto", "required"/,
    ],
    ["tool_choice", { tool_choice: "required" }, /no tools are declared/],
    ["function_call", { functions: [weather], function_call: { name: "g" } }, /no tool g/],
    ["functions", { functions: [weather], tools: [tool()] }, /not both/],
    ["functions[0].parameters", { functions: [{ ...weather, parameters: { type: 5 } }] }, /object/],
    [
      "messages[1].tool_calls[0].function.arguments",
      assistant({ tool_calls: [{ ...made, function: { name: "f", arguments: {} } }] }),
      /a string/,
    ],
    [
      "messages[1].tool_calls",
      assistant({ tool_calls: Array.from({ length: 129 }, () => made) }),
      /limit of 128/,
    ],
  ])("by %s", async (param, body, says) => {
    const error = await errorOf(await chat(body));
    expect(error).toMatchObject({ status: 400, code: "invalid_value", param });
    expect(error.message).toMatch(says);
    expect(messages).toHaveLength(0);
  });

  it.each<[string, string, object]>([
    ["unsupported_parameter", "tools[0].type", { tools: [{ type: "custom", custom: {} }] }],
    ["missing_required_parameter", "tools[0].function", { tools: [{ type: "function" }] }],
    ["unknown_parameter", "tools[0].function.x", { tools: [tool({ ...weather, x: 1 })] }],
    ["missing_required_parameter", "messages[1].content", assistant({})],
    ["missing_required_parameter", "messages[1].tool_calls[0].id", assistant({ tool_calls: [{}] })],
  ])("by %s, %s", async (code, param, body) => {
    expect(await errorOf(await chat(body))).toMatchObject({ status: 400, code, param });
  });

  it("are told by the names of the body where a worker says so", async () => {
    const message = "tools[0]: a schema cannot have not";
    install(() => ({ code: "invalid_value", message, param: "tools[0]" }));
    expect(await errorOf(await chat({ tools: [tool()] }))).toMatchObject({ param: "tools[0]" });
    expect(await errorOf(await chat({ functions: [weather] }))).toMatchObject({
      param: "functions[0]",
      message: message.replace("tools", "functions"),
    });
  });
});

const cacheOf = async (body: object) =>
  (await chat({ temperature: 0, ...body }, { headers: {} })).headers.get("x-cache");

describe("the cache", () => {
  it("holds an answer for the same tools alone", async () => {
    const tools = [tool()];
    expect(await cacheOf({ tools })).toBe("miss");
    expect(await cacheOf({ tools, tool_choice: "auto", parallel_tool_calls: null })).toBe("hit");
    expect(await cacheOf({ tools, tool_choice: "required" })).toBe("miss");
    expect(await cacheOf({ tools: [tool({ ...weather, description: "Other." })] })).toBe("miss");
    // Not told of: the same as without.
    expect(await cacheOf({})).toBe("miss");
    expect(await cacheOf({ tools, tool_choice: "none" })).toBe("hit");
  });
});

/** Units reserved. */
async function reserved(body: object): Promise<number> {
  install(() => "nothing");
  const headers = { ...unstored, prefer: "respond-async" };
  const response = await chat(
    { max_tokens: 1, ...body },
    { operator: false, address: freshAddress(), headers },
  );
  expect(response.status).toBe(202);
  return 100_000 - Number(response.headers.get("x-ratelimit-remaining-tokens"));
}

describe("what tools cost", () => {
  it("is reserved with what is read", async () => {
    const plain = await reserved({});
    const one = await reserved({ tools: [tool()] });
    expect(one).toBeGreaterThan(plain + 100);
    expect(await reserved({ tools: [tool(), tool({ ...weather, name: "b" })] })).toBeGreaterThan(
      one + 20,
    );
    expect(await reserved({ tools: [tool()], tool_choice: "none" })).toBe(plain);
  });
});
