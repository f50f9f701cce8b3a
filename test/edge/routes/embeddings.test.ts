/** POST /v1/embeddings: what it answers, and every way in which a body can be wrong. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { call, type CallOptions, errorOf, freshAddress } from "../caller.ts";
import { announce, digest, install, messages, tokensRead, vector } from "../stand-in-worker.ts";

const model = "all-MiniLM-L6-v2";
const path = "/v1/embeddings";
/** Nothing of one test is in the cache of another. */
const unstored = { "cache-control": "no-store" };

beforeEach(async () => {
  install();
  await announce();
});
afterEach(() => vi.unstubAllGlobals());

function embed(body: unknown, options: CallOptions = {}): Promise<Response> {
  return call(path, body, { operator: true, headers: unstored, ...options });
}

describe("an answer", () => {
  it("is OpenAI's object, with numbers by default", async () => {
    const response = await embed({ model, input: "hello" });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      object: "list",
      data: [{ object: "embedding", index: 0, embedding: vector.numbers }],
      model,
      usage: { prompt_tokens: tokensRead, total_tokens: tokensRead },
    });
    expect(response.headers.get("content-type")).toContain("application/json");
    expect(response.headers.get("x-model-digest")).toBe(digest);
    expect(response.headers.get("x-job-id")).toMatch(/^job_\d+_[0-9a-f]{32}$/);
    expect(response.headers.get("x-request-id")).toMatch(/^req_/);
    expect(response.headers.get("x-cache")).toBe("bypass");
  });

  it("holds base64 of f32 where asked", async () => {
    const response = await embed({ model, input: ["a", "b"], encoding_format: "base64" });
    const { data } = await response.json<{ data: unknown[] }>();
    expect(data).toEqual([
      { object: "embedding", index: 0, embedding: vector.base64 },
      { object: "embedding", index: 1, embedding: vector.base64 },
    ]);
  });

  it.each([
    ["one text", "a", ["a"]],
    ["texts", ["a", "b"], ["a", "b"]],
    ["one text's tokens", [5, 6], [[5, 6]]],
    ["texts' tokens", [[5, 6], [7]], [[5, 6], [7]]],
  ])("takes %s", async (_, input, queued) => {
    const response = await embed({ model, input });
    expect(response.status).toBe(200);
    expect(messages[0]?.inputs).toEqual(queued);
  });

  it("hands on the name of a prompt, and nothing where there is none", async () => {
    for (const named of [{ prompt_name: "query" }, {}]) {
      const response = await embed({ model, input: "a", ...named });
      expect(response.status).toBe(200);
      expect(messages.at(-1)?.parameters).toEqual(named);
    }
    const response = await embed({ model, input: "a", prompt_name: "q".repeat(101) });
    expect(await errorOf(response)).toMatchObject({ param: "prompt_name" });
  });

  it("hands on that long texts are to be cut, and says so to who sends too many ids", async () => {
    const tokens = Array(257).fill(5);
    expect((await embed({ model, input: tokens, truncate: true })).status).toBe(200);
    expect(messages[0]?.parameters).toEqual({ truncate: true });
    const refused = await errorOf(await embed({ model, input: tokens }));
    expect(refused).toMatchObject({ code: "context_length_exceeded", param: "input" });
    expect(refused.message).toMatch(/^input has 257.*truncate/);
  });

  it("says in whose vocabulary token ids are read", async () => {
    const response = await embed({ model, input: [5, 6] });
    expect(response.headers.get("x-warnings")).toContain(model);
  });

  it("takes the hub's id for the model", async () => {
    const response = await embed({ model: `sentence-transformers/${model}`, input: "a" });
    expect(response.status).toBe(200);
    expect(messages[0]?.model).toBe(model);
  });

  it("takes as many inputs as it says", async () => {
    const response = await embed({ model, input: Array(2_048).fill("a") });
    expect(response.status).toBe(200);
    expect((await response.json<{ data: unknown[] }>()).data).toHaveLength(2_048);
  });

  it("honours the dimensions the model has", async () => {
    expect((await embed({ model, input: "a", dimensions: 384 })).status).toBe(200);
  });

  it("names a field it does not act on, or refuses it under strict=1", async () => {
    const lenient = await embed({ model, input: "a", user: "me" });
    expect(lenient.status).toBe(200);
    expect(lenient.headers.get("x-warnings")).toContain("user");
    const strict = await call(`${path}?strict=1`, { model, input: "a", user: "me" });
    expect(await errorOf(strict)).toMatchObject({
      status: 400,
      code: "unsupported_parameter",
      param: "user",
    });
  });
});

describe("a body that is wrong", () => {
  const invalid = { status: 400, type: "invalid_request_error" };

  it.each<[string, unknown, object]>([
    ["no model", { input: "a" }, { code: "missing_required_parameter", param: "model" }],
    ["no input", { model }, { code: "missing_required_parameter", param: "input" }],
    ["nothing", {}, { code: "missing_required_parameter", param: "model" }],
    [
      "an unknown field",
      { model, input: "a", inptu: 1 },
      { code: "unknown_parameter", param: "inptu" },
    ],
    ["an empty text", { model, input: "" }, { code: "invalid_value", param: "input" }],
    [
      "an empty text in a list",
      { model, input: ["a", ""] },
      { code: "invalid_value", param: "input[1]" },
    ],
    ["an empty list", { model, input: [] }, { code: "invalid_value", param: "input" }],
    [
      "an empty list of tokens",
      { model, input: [[]] },
      { code: "invalid_value", param: "input[0]" },
    ],
    [
      "too many inputs",
      { model, input: Array(2_049).fill("a") },
      { code: "invalid_value", param: "input" },
    ],
    [
      "too long a text",
      { model, input: "a".repeat(1_000_001) },
      { code: "invalid_value", param: "input" },
    ],
    ["a null input", { model, input: null }, { code: "invalid_value", param: "input" }],
    ["a number for input", { model, input: 5 }, { code: "invalid_value", param: "input" }],
    ["an object for input", { model, input: { a: 1 } }, { code: "invalid_value", param: "input" }],
    ["mixed inputs", { model, input: ["a", 5] }, { code: "invalid_value", param: "input[1]" }],
    [
      "a fraction for a token",
      { model, input: [1.5] },
      { code: "invalid_value", param: "input[0]" },
    ],
    ["a negative token", { model, input: [-1] }, { code: "invalid_value", param: "input[0]" }],
    ["a number for model", { model: 5, input: "a" }, { code: "invalid_value", param: "model" }],
    ["an empty model", { model: "", input: "a" }, { code: "invalid_value", param: "model" }],
    [
      "another encoding",
      { model, input: "a", encoding_format: "hex" },
      { code: "invalid_value", param: "encoding_format" },
    ],
    [
      "dimensions of another model",
      { model, input: "a", dimensions: 128 },
      { code: "invalid_value", param: "dimensions" },
    ],
    ["a number for user", { model, input: "a", user: 5 }, { code: "invalid_value", param: "user" }],
    ["a list for the body", [], { code: "invalid_value", param: null }],
    ["a string for the body", '"a"', { code: "invalid_value", param: null }],
    ["null for the body", "null", { code: "invalid_value", param: null }],
    ["no JSON", "{", { code: "invalid_json", param: null }],
    ["no body", "", { code: "invalid_json", param: null }],
    ["no UTF-8", new Uint8Array([0x22, 0xff, 0x22]), { code: "invalid_json", param: null }],
    [
      "a webhook on a synchronous call",
      { model, input: "a", webhook: "https://example.com" },
      { code: "invalid_value", param: "webhook" },
    ],
  ])("is refused: %s", async (_, body, expected) => {
    const error = await errorOf(await embed(body));
    expect(error).toMatchObject({ ...invalid, ...expected });
    expect(error.message.length).toBeGreaterThan(20);
  });

  it("names the field, the limit and the value", async () => {
    const tooMany = await errorOf(await embed({ model, input: Array(2_049).fill("a") }));
    expect(tooMany.message).toMatch(/input.*2049.*2048/);
    const dimensions = await errorOf(await embed({ model, input: "a", dimensions: 128 }));
    expect(dimensions.message).toMatch(/128.*384/);
  });

  it("tells LangChain's users what to set when ids are not of the model", async () => {
    const error = await errorOf(await embed({ model, input: [[5], [100, 45_000]] }));
    expect(error).toMatchObject({ status: 400, code: "invalid_value", param: "input[1]" });
    expect(error.message).toContain("45000");
    expect(error.message).toContain("check_embedding_ctx_length=False");
  });

  it("has more tokens than the model reads", async () => {
    const error = await errorOf(await embed({ model, input: Array(257).fill(5) }));
    expect(error).toMatchObject({ status: 400, code: "context_length_exceeded" });
    expect(error.message).toMatch(/257.*256/);
  });

  it("names a model that is not here", async () => {
    const error = await errorOf(await embed({ model: "gpt-9", input: "a" }));
    expect(error).toMatchObject({ status: 404, code: "model_not_found", param: "model" });
  });

  it("is larger than the limit, announced or not", async () => {
    const bytes = Number(env.BODY_BYTES_MAX) + 1;
    const announced = await errorOf(await embed("x".repeat(bytes)));
    expect(announced).toMatchObject({ status: 413, code: "request_too_large" });
    let sent = 0;
    const hundredMegabytes = new ReadableStream({
      type: "bytes",
      pull(controller: ReadableByteStreamController) {
        if (sent >= 100_000_000) return controller.close();
        controller.enqueue(new Uint8Array(1_000_000).fill(0x20));
        sent += 1_000_000;
      },
    });
    const streamed = await embed(hundredMegabytes);
    expect(await errorOf(streamed)).toMatchObject({ status: 413, code: "request_too_large" });
  });

  it("costs nothing and queues nothing", async () => {
    const address = freshAddress();
    const options = { operator: false, address };
    await embed({ model, input: "" }, options);
    await embed({ model: "gpt-9", input: "a" }, options);
    const response = await embed({ model, input: "a" }, options);
    expect(response.headers.get("x-ratelimit-remaining-requests")).toBe("59");
    expect(messages).toHaveLength(1);
  });
});

describe("a job that fails at the worker", () => {
  it.each([
    ["a", "input"],
    [["a"], "input[0]"],
    [[5, 6], "input"],
    [[[5, 6]], "input[0]"],
  ])("because of %j is told as %s", async (input, field) => {
    install(() => ({
      code: "context_length_exceeded",
      message: "inputs[0] has 300 tokens.",
      param: "inputs[0]",
    }));
    expect(await errorOf(await embed({ model, input }))).toMatchObject({
      param: field,
      message: `${field} has 300 tokens.`,
    });
  });

  it("is told in OpenAI's form and charged nothing", async () => {
    const error = { code: "context_length_exceeded", message: "too long", param: "input" } as const;
    install(() => error);
    const address = freshAddress();
    const failed = await embed({ model, input: "a" }, { operator: false, address });
    expect(await errorOf(failed)).toMatchObject({ status: 400, ...error });
    install();
    const after = await embed({ model, input: "a" }, { operator: false, address });
    // Open while this second call runs: its own estimate alone.
    expect(after.headers.get("x-ratelimit-remaining-tokens")).toBe("99997");
  });
});
