/** POST /v1/chat/completions: what it answers, what a worker is told, and every way in which a body can be wrong. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { bindingsWith, call, type CallOptions, errorOf, freshAddress } from "../caller.ts";
import { allReported, announce, decoder, digest, install, messages } from "../stand-in-worker.ts";
import { halves, paris, told, token, usageShown, writing } from "../written.ts";

const path = "/v1/chat/completions";
const model = decoder.id;
const question = [{ role: "user", content: "What is the capital of France?" }];
const unstored = { "cache-control": "no-store" };

beforeEach(async () => {
  install(writing([paris]));
  await announce([decoder]);
});
afterEach(() => vi.unstubAllGlobals());

function chat(body: object, options: CallOptions = {}): Promise<Response> {
  const whole = { model, messages: question, ...body };
  return call(path, whole, { operator: true, headers: unstored, ...options });
}

type Completion = { id: string; created: number };

const half = (byte: number) => ({
  token: "\ufffd",
  logprob: -0.5,
  bytes: [byte],
  top_logprobs: [],
});

describe("an answer", () => {
  it("is OpenAI's object", async () => {
    const before = Math.floor(Date.now() / 1_000);
    const response = await chat({});
    expect(response.status).toBe(200);
    const { id, created, ...rest } = await response.json<Completion>();
    expect(rest).toEqual({
      object: "chat.completion",
      model,
      system_fingerprint: `fp_${digest.slice(0, 12)}`,
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "In Paris.", refusal: null },
          logprobs: null,
          finish_reason: "stop",
        },
      ],
      usage: usageShown,
    });
    const request = response.headers.get("x-request-id") ?? "";
    expect(id).toBe(request.replace("req_", "chatcmpl-"));
    expect(created).toBeGreaterThanOrEqual(before);
    expect(created).toBeLessThanOrEqual(Date.now() / 1_000);
    expect(response.headers.get("x-warnings")).toBeNull();
  });

  it("has a place for each of n choices, and says why each ended", async () => {
    const ends = ["end_token", "stop_sequence", "length"] as const;
    install(writing(ends.map((finish_reason) => ({ ...paris, finish_reason }))));
    const { choices } = await (await chat({ n: 3 })).json<{ choices: object[] }>();
    expect(choices).toMatchObject([
      { index: 0, finish_reason: "stop" },
      { index: 1, finish_reason: "stop" },
      { index: 2, finish_reason: "length" },
    ]);
  });

  it("tells log probabilities with bytes, those of parts of characters too", async () => {
    install(writing([{ ...told, logprobs: [token("é!", 5), ...halves] }]));
    const response = await chat({ logprobs: true, top_logprobs: 2 });
    const { choices } = await response.json<{ choices: { logprobs: unknown }[] }>();
    expect(messages[0]?.parameters).toEqual({ top_logprobs: 2 });
    expect(choices[0]?.logprobs).toEqual({
      content: [
        {
          token: "é!",
          logprob: -0.25,
          bytes: [0xc3, 0xa9, 0x21],
          top_logprobs: [
            { token: "é!", logprob: -0.25, bytes: [0xc3, 0xa9, 0x21] },
            { token: "é!?", logprob: -2, bytes: [0xc3, 0xa9, 0x21, 0x3f] },
          ],
        },
        half(0xc3),
        half(0xa9),
      ],
      refusal: null,
    });
  });

  it("is the output of its job, to the byte each time", async () => {
    const prefer = { headers: { ...unstored, prefer: "respond-async" } };
    const { id } = await (await chat({}, prefer)).json<{ id: string }>();
    await allReported();
    const shown = async () => {
      const job = await call(`/v1/jobs/${id}`, undefined, { operator: true });
      return job.json<{ output: object; usage: object }>();
    };
    const [first, second] = [await shown(), await shown()];
    expect(first).toEqual(second);
    expect(first.output).toMatchObject({ object: "chat.completion", usage: usageShown });
    expect(first.usage).toEqual(usageShown);
  });
});

describe("what a worker is told", () => {
  it.each<[string, object, object]>([
    ["nothing that was not said", {}, {}],
    ["nothing that says nothing", { n: 1, temperature: 1, stop: [], max_tokens: null }, {}],
    ["one stop string as a list", { stop: "." }, { stop: ["."] }],
    ["the newer name of max_tokens", { max_completion_tokens: 5 }, { max_tokens: 5 }],
    [
      "either name where both say the same",
      { max_completion_tokens: 5, max_tokens: 5 },
      { max_tokens: 5 },
    ],
    ["log probabilities of the tokens alone", { logprobs: true }, { top_logprobs: 0 }],
    [
      "what vLLM's and TGI's callers send",
      { top_k: 5, min_p: 0.1, repetition_penalty: 1.2 },
      { top_k: 5, min_p: 0.1, repetition_penalty: 1.2 },
    ],
    [
      "the largest of each",
      {
        n: 8,
        temperature: 2,
        top_p: 1,
        seed: 2 ** 53 - 1,
        presence_penalty: 2,
        frequency_penalty: -2,
      },
      {
        n: 8,
        temperature: 2,
        top_p: 1,
        seed: 2 ** 53 - 1,
        presence_penalty: 2,
        frequency_penalty: -2,
      },
    ],
    [
      "what asks for nothing as nothing",
      {
        tools: [],
        tool_choice: "none",
        parallel_tool_calls: true,
        response_format: { type: "text" },
        modalities: ["text"],
      },
      {},
    ],
  ])("%s", async (_, body, parameters) => {
    const response = await chat(body);
    expect(response.status).toBe(200);
    expect(response.headers.get("x-warnings")).toBeNull();
    expect(messages[0]).toMatchObject({
      task: "chat-completion",
      inputs: [{ messages: question }],
    });
    expect(messages[0]?.parameters).toEqual(parameters);
  });

  it("messages of every role, in parts, with nothing in them, and as it was once answered", async () => {
    const asked = [
      { role: "system", content: "Be brief." },
      {
        role: "developer",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      },
      { role: "user", content: "", name: "Ann" },
      { role: "assistant", content: null, refusal: null, tool_calls: null, audio: null },
      { role: "assistant", content: "x", annotations: [], function_call: null, tool_calls: [] },
      { role: "tool", content: "42", tool_call_id: "call_1" },
    ];
    const response = await chat({ messages: asked });
    expect(response.status).toBe(200);
    expect(messages[0]?.inputs).toEqual([
      {
        messages: [
          { role: "system", content: "Be brief." },
          { role: "developer", content: [{ text: "a" }, { text: "b" }] },
          { role: "user", content: "", name: "Ann" },
          { role: "assistant", content: "" },
          { role: "assistant", content: "x" },
          { role: "tool", content: "42", tool_call_id: "call_1" },
        ],
      },
    ]);
    expect(response.headers.get("x-warnings")).toBeNull();
  });

  it("that ids are the model's own, and the caller too", async () => {
    const response = await chat({ logit_bias: { 15: -100 } });
    expect(messages[0]?.parameters).toEqual({ logit_bias: { 15: -100 } });
    expect(response.headers.get("x-warnings")).toMatch(/^logit_bias: .*SmolLM2.*own token ids$/);
  });
});

describe("a field that is not acted on", () => {
  it.each<[string, unknown]>([
    ["user", "me"],
    ["store", true],
    ["metadata", { a: "b" }],
    ["service_tier", "auto"],
    ["safety_identifier", "me"],
    ["prompt_cache_key", "k"],
    ["reasoning_effort", "low"],
    ["verbosity", "low"],
    ["tool_prompt", "Call these:"],
  ])("%s is named, and refused under strict=1 or as another type", async (name, value) => {
    const lenient = await chat({ [name]: value });
    expect(lenient.status).toBe(200);
    expect(lenient.headers.get("x-warnings")).toBe(`${name}: accepted and not acted on`);
    const strict = await call(`${path}?strict=1`, { model, messages: question, [name]: value });
    expect(await errorOf(strict)).toMatchObject({ code: "unsupported_parameter", param: name });
    const wrong = await errorOf(await chat({ [name]: 5 }));
    expect(wrong).toMatchObject({ status: 400, code: "invalid_value", param: name });
  });
});

const part = (type: string, more: object) => [
  { role: "user", content: "a" },
  {
    role: "user",
    content: [
      { type: "text", text: "a" },
      { type, ...more },
    ],
  },
];

describe("a body that is wrong", () => {
  it.each<[string, object]>([
    ["audio", { audio: { voice: "alloy", format: "wav" } }],
    ["modalities", { modalities: ["text", "audio"] }],
    ["web_search_options", { web_search_options: {} }],
    ["messages[1].content[1]", { messages: part("image_url", { image_url: { url: "a" } }) }],
    ["messages[1].content[1]", { messages: part("input_audio", {}) }],
  ])("by what is not supported: %s", async (param, body) => {
    const error = await errorOf(await chat(body));
    expect(error).toMatchObject({ status: 400, code: "unsupported_parameter", param });
    expect(error.message).toContain(param);
    expect(messages).toHaveLength(0);
  });

  it.each<[string, object, RegExp]>([
    ["n", { n: 9 }, /limit of 8/],
    ["n", { n: 0 }, /limit of 1/],
    ["stop", { stop: ["a", "b", "c", "d", "e"] }, /limit of 4/],
    ["stop", { stop: 5 }, /string or an array/],
    ["top_logprobs", { logprobs: true, top_logprobs: 21 }, /limit of 20/],
    ["top_logprobs", { top_logprobs: 2 }, /Set logprobs to true/],
    ["temperature", { temperature: 2.1 }, /limit of 2/],
    ["top_p", { top_p: -1 }, /limit of 0/],
    ["max_tokens", { max_tokens: 0 }, /greater than 0/],
    ["max_tokens", { max_tokens: 1.5 }, /whole number|int/],
    ["max_completion_tokens", { max_tokens: 1, max_completion_tokens: 2 }, /mean the same/],
    ["seed", { seed: 2 ** 60 }, /limit/],
    ["stream_options", { stream_options: { include_usage: true } }, /Set stream to true/],
    ["logit_bias.-1", { logit_bias: { "-1": 1 } }, /id is a whole number from 0 on\. Rename it/],
    ["messages", { messages: [] }, /empty/],
    ["messages", { messages: null }, /null/],
    ["messages[0]", { messages: [null] }, /null/],
    ["messages[0].role", { messages: [{ role: "king", content: "a" }] }, /must be one of "system"/],
    ["messages[0].content", { messages: [{ role: "user", content: [] }] }, /empty/],
    ["messages[0].content", { messages: [{ role: "user", content: 5 }] }, /string or an array/],
    [
      "messages[1].content",
      { messages: [question[0], { role: "user", content: "a".repeat(1_000_001) }] },
      /1000000/,
    ],
  ])("by %s, named with its limit", async (param, body, says) => {
    const error = await errorOf(await chat(body));
    expect(error).toMatchObject({ status: 400, code: "invalid_value", param });
    expect(error.message).toMatch(says);
    expect(messages).toHaveLength(0);
  });

  it("by a number too large for any", async () => {
    const body = JSON.stringify({ model, messages: question, temperature: 7 }).replace(
      "7",
      "1e400",
    );
    const response = await call(path, body, { operator: true });
    expect(await errorOf(response)).toMatchObject({ status: 400, param: "temperature" });
  });

  it.each<[string, object, string]>([
    ["an unknown field", { mesages: [] }, "mesages"],
    ["one in a message", { messages: [{ ...question[0], x: 1 }] }, "messages[0].x"],
  ])("by %s", async (_, body, param) => {
    expect(await errorOf(await chat(body))).toMatchObject({ code: "unknown_parameter", param });
  });

  it("by naming no model, one that is not here, or one that does not chat", async () => {
    expect(await errorOf(await chat({ model: undefined }))).toMatchObject({
      code: "missing_required_parameter",
      param: "model",
    });
    expect(await errorOf(await chat({ model: "nobody" }))).toMatchObject({ status: 404 });
    await announce([{ ...decoder, id: "encoder", aliases: [], tasks: ["fill-mask"] }]);
    const error = await errorOf(await chat({ model: "encoder" }, { bindings: bindingsWith({}) }));
    expect(error).toMatchObject({ status: 400, param: "model" });
    expect(error.message).toContain("fill-mask");
  });

  it("is told by the names of the body where a worker says so", async () => {
    const message = "inputs[0].messages[1].content holds nothing";
    install(() => ({ code: "invalid_value", message, param: "inputs[0].messages[1].content" }));
    expect(await errorOf(await chat({}))).toMatchObject({
      param: "messages[1].content",
      message: "messages[1].content holds nothing",
    });
    const long = "max_tokens is 9000 beside 31 tokens; the context is 2048";
    install(() => ({ code: "context_length_exceeded", message: long, param: "max_tokens" }));
    expect(await errorOf(await chat({ max_completion_tokens: 9_000 }))).toMatchObject({
      code: "context_length_exceeded",
      param: "max_completion_tokens",
      message: long.replace("max_tokens", "max_completion_tokens"),
    });
    install(() => ({
      code: "context_length_exceeded",
      message: "inputs[0] has 9",
      param: "inputs[0]",
    }));
    expect(await errorOf(await chat({}))).toMatchObject({
      param: "messages",
      message: "messages has 9",
    });
  });
});

const cacheOf = async (body: object) => (await chat(body, { headers: {} })).headers.get("x-cache");

describe("the cache", () => {
  it("holds what leaves nothing to chance, and nothing else", async () => {
    for (const body of [{ temperature: 0 }, { seed: 4 }]) {
      const content = `cached ${JSON.stringify(body)}`;
      const asked = { ...body, messages: [{ role: "user", content }] };
      expect(await cacheOf(asked)).toBe("miss");
      expect(await cacheOf(asked)).toBe("hit");
      expect(await cacheOf({ ...asked, user: "another body" })).toBe("hit");
    }
    const chance = { messages: [{ role: "user", content: "by chance" }] };
    expect(await cacheOf(chance)).toBe("bypass");
    expect(await cacheOf(chance)).toBe("bypass");
  });
});

/** Units reserved. */
async function reserved(body: object): Promise<number> {
  install(() => "nothing");
  const headers = { ...unstored, prefer: "respond-async" };
  const response = await chat(body, { operator: false, address: freshAddress(), headers });
  expect(response.status).toBe(202);
  return 100_000 - Number(response.headers.get("x-ratelimit-remaining-tokens"));
}

describe("what it costs", () => {
  it("is reserved as what is read and n times what may be written", async () => {
    const prompt = await reserved({ max_tokens: 1 });
    expect(await reserved({ max_tokens: 11 })).toBe(prompt + 10);
    expect(await reserved({ max_tokens: 11, n: 4 })).toBe(prompt - 1 + 44);
    // By default 512; never more than the model has room for.
    expect(await reserved({})).toBe(prompt - 1 + 512);
    expect(await reserved({ max_tokens: 300_000, n: 2 })).toBe(prompt - 1 + 2 * 2_048);
  });

  it("is settled at what was read and written", async () => {
    const address = freshAddress();
    const response = await chat({}, { operator: false, address });
    expect(response.status).toBe(200);
    await allReported();
    const again = await chat({ max_tokens: 1 }, { operator: false, address });
    const left = Number(again.headers.get("x-ratelimit-remaining-tokens"));
    const prompt = (await reserved({ max_tokens: 1 })) - 1;
    expect(left).toBe(100_000 - 35 - prompt - 1);
  });
});
