/** /hf/models: Hugging Face's task bodies and errors, with ids that hold a slash. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { call } from "../caller.ts";
import { announce, install, messages, similarities, vector } from "../stand-in-worker.ts";

const hubId = "sentence-transformers/all-MiniLM-L6-v2";
const shortId = "all-MiniLM-L6-v2";
const sentences = { source_sentence: "a", sentences: ["b", "c"] };

beforeEach(async () => {
  install();
  await announce();
});
afterEach(() => vi.unstubAllGlobals());

function run(path: string, body: unknown): Promise<Response> {
  const headers = { "cache-control": "no-store" };
  return call(`/hf/models/${path}`, body, { operator: true, headers });
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
