/** /hf/models: Hugging Face's task bodies and errors, with ids that hold a slash. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { bindingsWith, call, type CallOptions } from "../caller.ts";
import {
  allRounder,
  announce,
  digest,
  install,
  messages,
  similarities,
  vector,
} from "../stand-in-worker.ts";

const hubId = "sentence-transformers/all-MiniLM-L6-v2";
const shortId = "all-MiniLM-L6-v2";
const sentences = { source_sentence: "a", sentences: ["b", "c"] };

beforeEach(async () => {
  install();
  await announce();
});
afterEach(() => vi.unstubAllGlobals());

function run(path: string, body: unknown, options: CallOptions = {}): Promise<Response> {
  const headers = { "cache-control": "no-store" };
  return call(`/hf/models/${path}`, body, { operator: true, headers, ...options });
}

type HuggingFaceError = {
  error: string;
  error_type: string;
  error_detail: { message: string; type: string; param: string | null; code: string };
};

describe("an answer", () => {
  it.each([shortId, hubId, encodeURIComponent(hubId)])("of %s has a row per text", async (id) => {
    const one = await run(`${id}/pipeline/feature-extraction`, { inputs: "a" });
    expect([one.status, await one.json()]).toEqual([200, [vector.numbers]]);
    const two = await run(`${id}/pipeline/feature-extraction`, { inputs: ["a", "b"] });
    expect(await two.json()).toEqual([vector.numbers, vector.numbers]);
    expect(messages.map(({ model }) => model)).toEqual([shortId, shortId]);
  });

  it("of sentence-similarity is a list of numbers", async () => {
    const response = await run(`${hubId}/pipeline/sentence-similarity`, { inputs: sentences });
    expect([response.status, await response.json()]).toEqual([200, similarities]);
  });

  it("without a task is of the body's shape, then of the model's first task", async () => {
    expect(await (await run(hubId, { inputs: sentences })).json()).toEqual(similarities);
    expect(await (await run(hubId, { inputs: "a" })).json()).toEqual([vector.numbers]);
    expect(messages.map(({ task }) => task)).toEqual(["sentence-similarity", "feature-extraction"]);
  });

  it("hands the parameters to the worker", async () => {
    const parameters = { normalize: false, truncate: true, truncation_direction: "left" };
    await run(`${shortId}/pipeline/feature-extraction`, { inputs: "a", ...parameters });
    expect(messages[0]?.parameters).toEqual(parameters);
  });
});

describe("token vectors", () => {
  // Two tokens of three numbers, and one: 1, 0.5, −2.25 each.
  const outputs = [vector.base64 + vector.base64, vector.base64].map((vectors) => ({
    vectors,
    dimensions: 3,
  }));
  const [two, one] = [[vector.numbers, vector.numbers], [vector.numbers]];

  beforeEach(() =>
    install(({ task, model, inputs }) => ({
      task,
      model,
      modelDigest: digest,
      outputs: outputs.slice(0, Array.isArray(inputs) ? inputs.length : 0),
      usage: { promptTokens: 3 },
      warnings: [],
    })),
  );

  it("are nested as transformers' pipeline nests them", async () => {
    const path = `${shortId}/pipeline/feature-extraction`;
    const single = await run(path, { inputs: "a b", pooling: "none" });
    expect(await single.json()).toEqual([two]);
    const list = await run(path, { inputs: ["a b", "c"], parameters: { pooling: "none" } });
    expect(await list.json()).toEqual([[two], [one]]);
    expect(messages.map(({ parameters }) => parameters)).toEqual([
      { pooling: "none" },
      { pooling: "none" },
    ]);
    const other = await run(path, { inputs: "a", pooling: "cls" });
    expect([other.status, (await other.json<HuggingFaceError>()).error_detail.param]).toEqual([
      400,
      "pooling",
    ]);
  });

  it("are a list for each input on the native route", async () => {
    const body = { model: shortId, inputs: ["a b", "c"], parameters: { pooling: "none" } };
    const headers = { "cache-control": "no-store" };
    const response = await call("/v1/tasks/feature-extraction", body, { operator: true, headers });
    expect((await response.json<{ data: unknown }>()).data).toEqual([two, one]);
  });
});

describe("a text beside another", () => {
  const pair = { text: "a", text_pair: "b" };
  /** An isolate that has not heard of the model as others announce it. */
  let fresh: CallOptions;

  beforeEach(async () => {
    await announce([{ ...allRounder, tasks: ["rerank", "text-classification"] }]);
    fresh = { bindings: bindingsWith({}) };
    install(({ task, model, inputs }) => ({
      task,
      model,
      modelDigest: digest,
      outputs: (Array.isArray(inputs) ? inputs : []).map(() => [{ label: "x", score: 1 }]),
      usage: { promptTokens: 3 },
      warnings: [],
    }));
  });

  it.each<[string, unknown, unknown[]]>([
    ["one", pair, [pair]],
    ["a list, texts alone among them", [pair, "c"], [pair, "c"]],
    ["the form that transformers took first", [[["a", "b"]]], [pair]],
  ])("is read of %s, with a task in the address and without", async (_, inputs, expected) => {
    const path = `${allRounder.id}/pipeline/text-classification`;
    const response = await run(path, { inputs }, fresh);
    const label = [{ label: "x", score: 1 }];
    expect([response.status, await response.json()]).toEqual([200, expected.map(() => label)]);
    if (inputs === pair) await run(allRounder.id, { inputs }, fresh);
    for (const message of messages) {
      expect(message).toMatchObject({ task: "text-classification", inputs: expected });
    }
  });

  it.each<[string, unknown, string]>([
    ["without the other text", { text: "a" }, "inputs.text_pair"],
    ["with an empty one", { text: "a", text_pair: "" }, "inputs.text_pair"],
    ["with a field more", { ...pair, third: "c" }, "inputs.third"],
    ["in a list", ["a", { text: "a", text_pair: 5 }], "inputs[1].text_pair"],
  ])("is refused %s", async (_, inputs, param) => {
    const path = `${allRounder.id}/pipeline/text-classification`;
    const response = await run(path, { inputs }, fresh);
    const { error_detail: detail } = await response.json<HuggingFaceError>();
    expect([response.status, detail.param]).toEqual([400, param]);
  });
});

describe("feature-extraction's flat body", () => {
  const path = `${shortId}/pipeline/feature-extraction`;

  it("may hold its parameters under `parameters` too", async () => {
    const body = { inputs: "a", parameters: { normalize: false }, truncate: true };
    expect((await run(path, body)).status).toBe(200);
    expect(messages[0]?.parameters).toEqual({ normalize: false, truncate: true });
  });

  it("may hold what huggingface_hub sends and nothing is done with, and then says so", async () => {
    const body = { inputs: "a", dimensions: 128, encoding_format: "float" };
    const response = await run(path, body);
    expect(response.status).toBe(200);
    expect(response.headers.get("x-warnings")).toMatch(/dimensions.*encoding_format/);
    expect(messages[0]?.parameters).toEqual({});
    expect((await run(path, { ...body, dimensions: "many" })).status).toBe(400);
    expect((await run(`${path}?strict=1`, body)).status).toBe(400);
  });
});

describe("labels in one string", () => {
  const labels = ["good", "bad"];
  const parameters = { candidate_labels: " good,bad, ,", multi_label: null };

  beforeEach(() => announce([{ ...allRounder, id: "labeller", aliases: [] }]));

  it("are those between its commas, under /hf and natively", async () => {
    const fresh = { bindings: bindingsWith({}) };
    const body = { inputs: "a", parameters, options: { use_cache: null } };
    expect((await run("labeller/pipeline/zero-shot-classification", body, fresh)).status).toBe(200);
    expect((await run("labeller", body, fresh)).status).toBe(200);
    const native = { model: "labeller", inputs: ["b"], parameters };
    const headers = { "cache-control": "no-store" };
    const options = { ...fresh, operator: true, headers };
    const response = await call("/v1/tasks/zero-shot-classification", native, options);
    expect(response.status).toBe(200);
    expect(messages).toHaveLength(3);
    for (const message of messages)
      expect(message.parameters).toEqual({ candidate_labels: labels });
  });

  it("are refused where there is none", async () => {
    const body = { inputs: "a", parameters: { candidate_labels: " , " } };
    const response = await run("labeller/pipeline/zero-shot-classification", body, {
      bindings: bindingsWith({}),
    });
    const { error_detail: detail } = await response.json<HuggingFaceError>();
    expect([response.status, detail.param]).toEqual([400, "parameters.candidate_labels"]);
  });
});

describe("an address of another API behind a model", () => {
  it.each([
    ["v1/chat", /^There is nothing at POST .*v1\/chat\. GET/],
    ["v1/embeddings", /^There is nothing at POST .*v1\/embeddings\. GET/],
  ])("%s is no model's name", async (address, message) => {
    const response = await run(`${hubId}/${address}`, { model: hubId, messages: [] });
    const { error_detail: detail } = await response.json<HuggingFaceError>();
    expect([response.status, detail.code]).toEqual([404, "unknown_url"]);
    expect(detail.message).toMatch(message);
  });
});

describe("an error", () => {
  it.each<[string, string, unknown, number, object]>([
    ["an unknown model", "nobody/nothing", { inputs: "a" }, 404, { code: "model_not_found" }],
    [
      "an unknown task",
      `${shortId}/pipeline/levitation`,
      { inputs: "a" },
      404,
      { code: "not_found", param: "task" },
    ],
    [
      "the operator's task",
      `${shortId}/pipeline/noop`,
      { inputs: "a" },
      404,
      { code: "not_found" },
    ],
    ["no inputs", shortId, {}, 400, { code: "missing_required_parameter", param: "inputs" }],
    ["an empty text", shortId, { inputs: "" }, 400, { code: "invalid_value", param: "inputs" }],
    ["an empty text in a list", shortId, { inputs: ["a", ""] }, 400, { param: "inputs[1]" }],
    [
      "tokens, which Hugging Face has not",
      shortId,
      { inputs: [1, 2] },
      400,
      { param: "inputs[0]" },
    ],
    [
      "an unknown field",
      shortId,
      { inputs: "a", normalise: true },
      400,
      { code: "unknown_parameter", param: "normalise" },
    ],
    ["a wrong type", shortId, { inputs: "a", normalize: "yes" }, 400, { param: "normalize" }],
    [
      "no sentences",
      shortId,
      { inputs: { source_sentence: "a" } },
      400,
      { code: "missing_required_parameter", param: "inputs.sentences" },
    ],
    [
      "an empty sentence",
      shortId,
      { inputs: { source_sentence: "a", sentences: [""] } },
      400,
      { param: "inputs.sentences[0]" },
    ],
    ["a list for the body", shortId, [], 400, { code: "invalid_value" }],
    ["no JSON", shortId, "inputs", 400, { code: "invalid_json" }],
  ])("of %s is in Hugging Face's form", async (...[, path, body, status, detail]) => {
    const response = await run(path, body);
    const error = await response.json<HuggingFaceError>();
    expect(response.status).toBe(status);
    expect(error.error_detail).toMatchObject(detail);
    expect(error.error).toBe(error.error_detail.message);
    expect(error.error_type).toBe(error.error_detail.type);
  });

  it("of an unknown key is too", async () => {
    const headers = { authorization: "Bearer hf_nobody" };
    const response = await call(`/hf/models/${shortId}`, { inputs: "a" }, { headers });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ error_detail: { code: "invalid_api_key" } });
  });
});
