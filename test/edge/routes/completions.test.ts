/** POST /v1/completions: what it answers, what a worker is told, and every way in which a body can be wrong. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { call, type CallOptions, errorOf, freshAddress } from "../caller.ts";
import { announce, decoder, digest, install, messages } from "../stand-in-worker.ts";
import {
  endToken,
  halves,
  paris,
  promptAlone,
  told,
  token,
  usageShown,
  writing,
} from "../written.ts";

const path = "/v1/completions";
const model = decoder.id;
const unstored = { "cache-control": "no-store" };

beforeEach(async () => {
  install(writing([paris]));
  await announce([decoder]);
});
afterEach(() => vi.unstubAllGlobals());

function complete(body: object, options: CallOptions = {}): Promise<Response> {
  const whole = { model, prompt: "Where?", ...body };
  return call(path, whole, { operator: true, headers: unstored, ...options });
}

type Completion = { id: string; created: number; choices: { logprobs: unknown }[] };

describe("an answer", () => {
  it("is OpenAI's object", async () => {
    const response = await complete({});
    expect(response.status).toBe(200);
    const { id, created, ...rest } = await response.json<Completion>();
    expect(rest).toEqual({
      object: "text_completion",
      model,
      system_fingerprint: `fp_${digest.slice(0, 12)}`,
      choices: [{ text: "In Paris.", index: 0, logprobs: null, finish_reason: "stop" }],
      usage: usageShown,
    });
    expect(id).toMatch(/^cmpl-[0-9a-f]{32}$/);
    expect(Number.isInteger(created)).toBe(true);
  });

  it("has the choices of several prompts one after the other", async () => {
    install(writing([paris, { ...paris, text: "Here.", finish_reason: "length" }]));
    const response = await complete({ prompt: ["a", "b"], n: 2 });
    const { choices } = await response.json<Completion>();
    expect(choices).toMatchObject([
      { index: 0, text: "In Paris." },
      { index: 1, text: "Here.", finish_reason: "length" },
      { index: 2, text: "In Paris." },
      { index: 3, text: "Here." },
    ]);
  });

  it("tells log probabilities of text in lists, and of parts of characters by their bytes", async () => {
    const first = { ...token("Pa", 4), logprob: null, top: [] };
    const logprobs = [first, token("ris", 5), ...halves, endToken];
    install(writing([{ ...told, logprobs }]));
    const { choices } = await (await complete({ logprobs: 1, echo: true })).json<Completion>();
    expect(messages[0]?.parameters).toEqual({ top_logprobs: 1, echo: true });
    expect(choices[0]?.logprobs).toEqual({
      tokens: ["Pa", "ris", String.raw`bytes:\xc3`, String.raw`bytes:\xa9`],
      // OpenAI, too, knows nothing of a token that nothing came before.
      token_logprobs: [null, -0.25, -0.5, -0.5],
      top_logprobs: [
        null,
        { ris: -0.25, "ris?": -2 },
        { [String.raw`bytes:\xc3`]: -0.5 },
        { [String.raw`bytes:\xa9`]: -0.5 },
      ],
      text_offset: [0, 2, 5, 6],
    });
  });
});

describe("what a worker is told", () => {
  it.each<[string, unknown, unknown[]]>([
    ["one text", "a", ["a"]],
    ["texts", ["a", "b"], ["a", "b"]],
    ["one text's tokens", [5, 6], [[5, 6]]],
    ["texts' tokens", [[5, 6], [7]], [[5, 6], [7]]],
  ])("%s", async (_, prompt, inputs) => {
    const response = await complete({ prompt });
    expect(response.status).toBe(200);
    expect(messages[0]).toMatchObject({ task: "text-generation", inputs, parameters: {} });
    const ids = typeof inputs[0] !== "string";
    const warning = `prompt: token ids are read as ${model}'s own`;
    expect(response.headers.get("x-warnings")).toBe(ids ? warning : null);
  });

  it("nothing that says nothing", async () => {
    const nothing = { echo: false, suffix: "", best_of: 1, logprobs: null, user: null };
    expect((await complete(nothing)).status).toBe(200);
    expect((await complete({ best_of: 3, n: 3 })).status).toBe(200);
    expect(messages.map(({ parameters }) => parameters)).toEqual([{}, { n: 3 }]);
  });
});

describe("a prompt that is told and not gone on with", () => {
  it("has its log probabilities, and no tokens", async () => {
    install(writing([promptAlone], { promptTokens: 1, completionTokens: 0 }));
    const response = await complete({ max_tokens: 0, echo: true, logprobs: 1 });
    expect(messages[0]?.parameters).toEqual({ max_tokens: 0, echo: true, top_logprobs: 1 });
    expect(await response.json()).toMatchObject({
      choices: [{ text: "Where?", finish_reason: "length", logprobs: { token_logprobs: [null] } }],
      usage: { prompt_tokens: 1, completion_tokens: 0, total_tokens: 1 },
    });
  });
});

/** Units reserved. */
async function reserved(body: object): Promise<number> {
  install(() => "nothing");
  const headers = { ...unstored, prefer: "respond-async" };
  const response = await complete(body, { operator: false, address: freshAddress(), headers });
  expect(response.status).toBe(202);
  return 100_000 - Number(response.headers.get("x-ratelimit-remaining-tokens"));
}

describe("what it costs", () => {
  it("is reserved as what is read of all prompts, and n times what may be written for each", async () => {
    const read = (await reserved({ max_tokens: 1 })) - 1;
    expect(await reserved({ max_tokens: 11, n: 4 })).toBe(read + 44);
    const prompts = ["Where?", "Where?", "Where?"];
    expect(await reserved({ prompt: prompts, max_tokens: 11, n: 4 })).toBe(3 * (read + 44));
  });
});

describe("a body that is wrong", () => {
  it.each<[string, string, object, RegExp]>([
    ["unsupported_parameter", "suffix", { suffix: "end" }, /suffix/],
    ["unsupported_parameter", "best_of", { best_of: 3 }, /with n/],
    ["invalid_value", "best_of", { n: 3, best_of: 2 }, /n 3/],
    ["invalid_value", "logprobs", { logprobs: 6 }, /limit of 5/],
    ["invalid_value", "logprobs", { logprobs: true }, /whole number|a number/],
    ["invalid_value", "n", { n: 9 }, /limit of 8/],
    ["invalid_value", "n", { n: 8, prompt: Array(17).fill("a") }, /n is 8 for 17 inputs.*136.*128/],
    ["invalid_value", "prompt", { prompt: Array(129).fill("a") }, /prompt has 129 items.*128/],
    ["invalid_value", "prompt", { prompt: "" }, /empty/],
    ["invalid_value", "prompt", { prompt: [] }, /empty/],
    ["invalid_value", "prompt[1]", { prompt: ["a", ""] }, /empty/],
    ["invalid_value", "prompt[0]", { prompt: [[]] }, /empty/],
    ["invalid_value", "prompt", { prompt: null }, /null/],
    ["invalid_value", "prompt", { prompt: { a: 1 } }, /Send a string/],
    ["invalid_value", "prompt", { prompt: [49_152] }, /outside the vocabulary/],
    ["context_length_exceeded", "prompt", { prompt: Array(2_049).fill(5) }, /2049 tokens.*2048/],
    [
      "context_length_exceeded",
      "prompt[0]",
      { prompt: [Array(300_001).fill(5)] },
      /300001.*300000/,
    ],
    ["unknown_parameter", "messages", { messages: [] }, /messages/],
  ])("%s by %s", async (code, param, body, says) => {
    const error = await errorOf(await complete(body));
    expect(error).toMatchObject({ status: 400, code, param });
    expect(error.message).toMatch(says);
    expect(error.message).not.toContain("truncate");
    expect(messages).toHaveLength(0);
  });

  it("is told by the names of the body where a worker says so", async () => {
    const error = { code: "context_length_exceeded", message: "inputs[1] is long" } as const;
    install(() => ({ ...error, param: "inputs[1]" }));
    const refused = await errorOf(await complete({ prompt: ["a", "b"] }));
    expect(refused).toMatchObject({ param: "prompt[1]", message: "prompt[1] is long" });
    install(() => ({ ...error, param: "inputs[0]", message: "inputs[0] is long" }));
    expect(await errorOf(await complete({}))).toMatchObject({
      param: "prompt",
      message: "prompt is long",
    });
  });
});
