/** POST /v1/embeddings: what it answers, and every way in which a body can be wrong. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { call, type CallOptions, errorOf, freshAddress } from "../caller.ts";
import {
  announce,
  type Answer,
  digest,
  install,
  messages,
  succeed,
  tokensRead,
  vector,
} from "../stand-in-worker.ts";

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
    const asked = { model, input: Array(257).fill(5) };
    const own = { headers: { ...unstored, "x-token-ids": "model" } };
    expect((await embed({ ...asked, truncate: true }, own)).status).toBe(200);
    expect(messages[0]?.parameters).toEqual({ truncate: true, token_ids: "model" });
    const refused = await errorOf(await embed(asked, own));
    expect(refused).toMatchObject({ code: "context_length_exceeded", param: "input" });
    expect(refused.message).toMatch(/^input has 257.*truncate/);
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

/** As workers say which reading they took. */
const reading: Answer = (message) => {
  const made = succeed(message);
  if (typeof made === "string" || "code" in made) return made;
  const { token_ids: vocabulary } = message.parameters as { token_ids?: string };
  return { ...made, warnings: vocabulary === undefined ? [] : [`read as ${vocabulary}`] };
};

/** Units reserved for 20 and 200 token ids under these headers. */
async function reserved(headers: Record<string, string>): Promise<number> {
  const options = { operator: false, address: freshAddress() };
  const response = await call(
    path,
    { model, input: [Array(20).fill(5), Array(200).fill(5)] },
    { ...options, headers: { ...unstored, prefer: "respond-async", ...headers } },
  );
  expect(response.status).toBe(202);
  return 100_000 - Number(response.headers.get("x-ratelimit-remaining-tokens"));
}

describe("token ids", () => {
  it.each<[string, unknown, Record<string, string>, object]>([
    ["either way, where nothing is said", [5, 6], {}, { token_ids: "either" }],
    ["as the header says", [[5, 6], [7]], { "x-token-ids": "model" }, { token_ids: "model" }],
    ["as OpenAI's", [[5, 6]], { "x-token-ids": "cl100k_base" }, { token_ids: "cl100k_base" }],
    ["for no texts", ["a", "b"], { "x-token-ids": "model" }, {}],
  ])("are read %s", async (_, input, headers, parameters) => {
    install(reading);
    const response = await embed({ model, input }, { headers: { ...unstored, ...headers } });
    expect(response.status).toBe(200);
    expect(messages[0]?.parameters).toEqual(parameters);
    const [vocabulary] = Object.values(parameters);
    expect(response.headers.get("x-warnings")).toBe(vocabulary ? `read as ${vocabulary}` : null);
  });

  it("are told apart in the cache by the header, and texts are not", async () => {
    install(reading);
    const asked = { model, input: [4_711, 4_712] };
    const reordered = { input: asked.input, model };
    const own = { "x-token-ids": "model" };
    const seen: [string | null, string | null][] = [];
    for (const [body, headers] of [
      [asked, {}],
      [asked, own],
      [asked, {}],
      [asked, own],
      [reordered, own],
      [reordered, {}],
      [{ model, input: "a text of this test" }, {}],
      [{ model, input: "a text of this test" }, own],
    ] as const) {
      const response = await embed(body, { headers });
      seen.push([response.headers.get("x-cache"), response.headers.get("x-warnings")]);
    }
    expect(seen).toEqual([
      ["miss", "read as either"],
      ["miss", "read as model"],
      ["hit", "read as either"],
      ["hit", "read as model"],
      ["hit", "read as model"],
      ["hit", "read as either"],
      ["miss", null],
      ["hit", null],
    ]);
    expect(messages).toHaveLength(3);
  });

  it("that may be another vocabulary's are not held to the model's", async () => {
    for (const input of [[45_000], Array(257).fill(5)]) {
      expect((await embed({ model, input })).status).toBe(200);
    }
  });

  it("reserve what the model may make of them", async () => {
    install(() => "nothing");
    // Special tokens are two, and the model reads 256.
    expect(await reserved({})).toBe(4 * 20 + 2 + 256);
    expect(await reserved({ "x-token-ids": "cl100k_base" })).toBe(4 * 20 + 2 + 256);
    expect(await reserved({ "x-token-ids": "model" })).toBe(22 + 202);
  });

  it("are of no other vocabulary", async () => {
    for (const input of ["a", [5]]) {
      const headers = { ...unstored, "x-token-ids": "gpt2" };
      const error = await errorOf(await embed({ model, input }, { headers }));
      expect(error).toMatchObject({ status: 400, code: "invalid_value", param: "x-token-ids" });
      expect(error.message).toMatch(/model.*cl100k_base/);
    }
    expect(messages).toHaveLength(0);
  });

  it("that the worker refuses are named by their place in the body", async () => {
    const param = "inputs[0][1]";
    install(() => ({ code: "invalid_value", message: `${param} is 9, which is no id`, param }));
    const error = await errorOf(await embed({ model, input: [[5, 100_256]] }));
    expect(error).toMatchObject({ status: 400, param: "input[0][1]" });
    expect(error.message).toContain("input[0][1] is 9");
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

  const ownIds = { headers: { ...unstored, "x-token-ids": "model" } };

  it("has an id that is none of the model's, whose own it says they are", async () => {
    const error = await errorOf(await embed({ model, input: [[5], [100, 45_000]] }, ownIds));
    expect(error).toMatchObject({ status: 400, code: "invalid_value", param: "input[1]" });
    expect(error.message).toContain("45000");
  });

  it("has more tokens than the model reads", async () => {
    const error = await errorOf(await embed({ model, input: Array(257).fill(5) }, ownIds));
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
