/** POST /v1/tokenize and /v1/detokenize: of every model, one text or several, for no units. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { call, type CallOptions, errorOf, freshAddress } from "../caller.ts";
import { announce, install, messages, miniLm } from "../stand-in-worker.ts";
import { outputOf } from "../task-samples.ts";

/** Its own list of tasks names neither of the two. */
const model = miniLm.id;

beforeEach(async () => {
  install();
  await announce([miniLm]);
});
afterEach(() => vi.unstubAllGlobals());

function post(path: string, body: object, options: CallOptions = {}): Promise<Response> {
  const headers = { "cache-control": "no-store" };
  return call(path, { model, ...body }, { operator: true, headers, ...options });
}

describe("one text", () => {
  it("is split, and put together, by itself", async () => {
    const options = { add_special_tokens: false, offset_unit: "utf-16" };
    const split = await post("/v1/tokenize", { input: "Hello", ...options });
    expect([split.status, await split.json()]).toEqual([200, outputOf("tokenize")]);
    const joined = await post("/v1/detokenize", { tokens: [7_592], skip_special_tokens: false });
    expect([joined.status, await joined.json()]).toEqual([200, outputOf("detokenize")]);
    expect(messages).toMatchObject([
      { task: "tokenize", model, inputs: ["Hello"], parameters: options },
      {
        task: "detokenize",
        model,
        inputs: [[7_592]],
        parameters: { skip_special_tokens: false },
      },
    ]);
  });
});

describe("several", () => {
  it("are answered in a list", async () => {
    const split = await post("/v1/tokenize", { input: ["Hello", "world"] });
    const one = outputOf("tokenize");
    expect(await split.json()).toEqual({ object: "list", data: [one, one], model });
    const joined = await post("/v1/detokenize", { tokens: [[7_592], []] });
    const text = outputOf("detokenize");
    expect(await joined.json()).toEqual({ object: "list", data: [text, text], model });
    expect(messages.map(({ inputs }) => inputs)).toEqual([
      ["Hello", "world"],
      [[7_592], []],
    ]);
  });
});

it("costs a request and the units it was counted at", async () => {
  const address = freshAddress();
  const response = await post("/v1/tokenize", { input: "Hello" }, { operator: false, address });
  const remaining = (what: string) => response.headers.get(`x-ratelimit-remaining-${what}`);
  expect(remaining("requests")).toBe("59");
  expect(Number(remaining("tokens"))).toBeLessThan(100_000);
});

it("takes more ids than the model reads at once", async () => {
  const tokens = Array<number>(1_000).fill(7_592);
  expect((await post("/v1/detokenize", { tokens })).status).toBe(200);
});

describe("what is wrong", () => {
  it.each<[string, object, object]>([
    ["tokenize", {}, { code: "missing_required_parameter", param: "input" }],
    ["tokenize", { input: "" }, { param: "input" }],
    ["tokenize", { input: ["a", ""] }, { param: "input[1]" }],
    ["tokenize", { input: [] }, { param: "input" }],
    ["tokenize", { input: [5] }, { param: "input[0]" }],
    ["tokenize", { input: Array(2_049).fill("a") }, { param: "input" }],
    ["tokenize", { input: "a", offset_unit: "byte" }, { param: "offset_unit" }],
    ["tokenize", { input: "a", tokens: [1] }, { code: "unknown_parameter", param: "tokens" }],
    ["detokenize", {}, { code: "missing_required_parameter", param: "tokens" }],
    ["detokenize", { tokens: "a" }, { param: "tokens" }],
    ["detokenize", { tokens: [-1] }, { param: "tokens[0]" }],
    ["detokenize", { tokens: [1, 0.5] }, { param: "tokens[1]" }],
    ["detokenize", { tokens: [30_522] }, { param: "tokens" }],
    ["detokenize", { tokens: [[1], [30_522]] }, { param: "tokens[1]" }],
    ["detokenize", { tokens: [[1], "a"] }, { param: "tokens[1]" }],
    ["detokenize", { tokens: Array(300_001).fill(1) }, { param: "tokens" }],
  ])("is named: %s %j", async (route, body, expected) => {
    const response = await post(`/v1/${route}`, body);
    expect(await errorOf(response)).toMatchObject({ status: 400, ...expected });
    expect(messages).toHaveLength(0);
  });

  it("is told by the caller's own fields where the worker finds it", async () => {
    install(() => ({ code: "invalid_value", message: "inputs[0] is odd.", param: "inputs[0]" }));
    expect(await errorOf(await post("/v1/tokenize", { input: "a" }))).toMatchObject({
      param: "input",
      message: "input is odd.",
    });
    expect(await errorOf(await post("/v1/detokenize", { tokens: [[1]] }))).toMatchObject({
      param: "tokens[0]",
      message: "tokens[0] is odd.",
    });
  });
});
