/** POST /v1/rerank in Cohere's and Jina's form, POST /rerank in that of text-embeddings-inference. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { bindingsWith, call, type CallOptions, errorOf, freshAddress } from "../caller.ts";
import {
  allReported,
  allRounder,
  announce,
  digest,
  install,
  messages,
  miniLm,
  tokensRead,
} from "../stand-in-worker.ts";

const model = allRounder.id;
const query = "How do I reset my password?";
const documents = ["Closed on Sundays.", "Choose “Forgot password”.", "Bananas."];
const usage = { prompt_tokens: tokensRead, total_tokens: tokensRead };
/** Documents by score, as the stand-in finds. */
const ranking = [
  { index: 1, score: 0.9 },
  { index: 0, score: 0.2 },
  { index: 2, score: -0.1 },
];

beforeEach(async () => {
  install(({ task, model: name, parameters }) => ({
    task,
    model: name,
    modelDigest: digest,
    outputs: [
      ranking.map((entry) =>
        "return_text" in parameters && parameters.return_text === true
          ? { ...entry, text: documents[entry.index] }
          : entry,
      ),
    ],
    usage: { promptTokens: tokensRead },
    warnings: [],
    method: "cross-encoder",
  }));
  await announce([allRounder]);
});
afterEach(() => vi.unstubAllGlobals());

/** What `@ai-sdk/cohere` takes an answer to be: without `meta` it refuses it. */
const CohereAnswer = z.object({
  id: z.string().nullish(),
  results: z.array(z.object({ index: z.number(), relevance_score: z.number() })),
  meta: z.record(z.string(), z.unknown()),
});

function post(path: string, body: unknown, options: CallOptions = {}): Promise<Response> {
  const headers = { "cache-control": "no-store" };
  return call(path, body, { operator: true, headers, ...options });
}

describe("POST /v1/rerank", () => {
  it("answers all documents, the best first", async () => {
    const response = await post("/v1/rerank", { model, query, documents });
    expect(response.status).toBe(200);
    expect(response.headers.get("x-method")).toBe("cross-encoder");
    expect(await response.json()).toEqual({
      id: response.headers.get("x-request-id"),
      object: "list",
      model,
      results: ranking.map(({ index, score }) => ({ index, relevance_score: score })),
      usage,
      meta: {
        api_version: { version: "2" },
        tokens: { input_tokens: tokensRead, output_tokens: 0 },
      },
    });
    expect(messages).toMatchObject([{ task: "rerank", inputs: [{ query, texts: documents }] }]);
  });

  it.each(["/v1/rerank", "/v2/rerank", "/v2/embed"])(
    "tells Cohere's clients what is wrong where they look for it: %s",
    async (path) => {
      const response = await post(path, { model, query: "", documents });
      const { message, error } = await response.json<{ message: string; error: object }>();
      expect(response.status).toBeGreaterThanOrEqual(400);
      expect(error).toMatchObject({ message, code: expect.any(String) });
    },
  );

  it("is /v2/rerank too, as Cohere's clients call it, for the same callers", async () => {
    const body = { model, query, documents, top_n: 1, max_tokens_per_doc: 512 };
    const response = await post("/v2/rerank", body);
    expect(CohereAnswer.parse(await response.json()).results).toEqual([
      { index: 1, relevance_score: 0.9 },
    ]);
    const headers = { authorization: "Bearer sk-nobody" };
    const stranger = await call("/v2/rerank", body, { headers });
    expect(await errorOf(stranger)).toMatchObject({ status: 401, code: "invalid_api_key" });
  });

  it("shows the body of the call again where a job is asked for", async () => {
    const headers = { prefer: "respond-async" };
    const accepted = await post("/v1/rerank", { model, query, documents }, { headers });
    const { id: job } = await accepted.json<{ id: string }>();
    await allReported();
    const outputs: unknown[] = [];
    for (const _ of [1, 2]) {
      const asked = await call(`/v1/jobs/${job}`, undefined, { operator: true });
      outputs.push((await asked.json<{ output: unknown }>()).output);
    }
    expect(outputs[1]).toEqual(outputs[0]);
    expect(CohereAnswer.parse(outputs[0]).id).toBe(accepted.headers.get("x-request-id"));
  });

  it("takes texts and objects in one list", async () => {
    const [first, second, third] = documents;
    const mixed = [{ text: first }, second, { text: third }];
    expect((await post("/v1/rerank", { model, query, documents: mixed })).status).toBe(200);
    expect(messages).toMatchObject([{ inputs: [{ texts: documents }] }]);
  });

  it("shows the top with their texts where asked, and takes documents as objects", async () => {
    const objects = documents.map((text) => ({ text }));
    const body = { model, query, documents: objects, top_n: 2, return_documents: true };
    const { results } = await (await post("/v1/rerank", body)).json<{ results: unknown[] }>();
    expect(results).toEqual([
      { index: 1, relevance_score: 0.9, document: { text: documents[1] } },
      { index: 0, relevance_score: 0.2, document: { text: documents[0] } },
    ]);
  });

  it("computes once what is shown in parts", async () => {
    const asked = { model, query, documents: [...documents, "cached"] };
    const stored = { headers: {} };
    await post("/v1/rerank", asked, stored);
    const top = await post("/v1/rerank", { ...asked, top_n: 1 }, stored);
    expect(top.headers.get("x-cache")).toBe("hit");
    expect((await top.json<{ results: unknown[] }>()).results).toHaveLength(1);
    expect(messages).toHaveLength(1);
  });

  it("names fields of Cohere's that it does not act on, or refuses them under strict=1", async () => {
    const body = { model, query, documents, priority: 1, rank_fields: ["text"] };
    const lenient = await post("/v1/rerank", body);
    expect(lenient.headers.get("x-warnings")).toMatch(/rank_fields.*priority/);
    expect(await errorOf(await post("/v1/rerank?strict=1", body))).toMatchObject({
      status: 400,
      code: "unsupported_parameter",
      param: "rank_fields",
    });
  });

  it("cuts long documents unless it is told not to, at the length that is asked for", async () => {
    await post("/v1/rerank", { model, query, documents });
    await post("/v1/rerank", { model, query, documents, max_tokens_per_doc: 512 });
    await post("/v1/rerank", { model, query, documents, truncate: false });
    expect(messages.map(({ parameters }) => parameters)).toEqual([
      { truncate: true },
      { truncate: true, max_tokens_per_doc: 512 },
      { truncate: false },
    ]);
  });

  it("reads 4096 tokens of a document, as Cohere does, where the model reads more", async () => {
    const limits = { maxTokens: 8_192, dimensions: null, vocabularySize: 250_002 };
    await announce([{ ...allRounder, id: "long-reader", aliases: [], limits }]);
    const bindings = bindingsWith({});
    await post("/v1/rerank", { model: "long-reader", query, documents }, { bindings });
    expect(messages[0]?.parameters).toEqual({ truncate: true, max_tokens_per_doc: 4_096 });
  });

  it.each<[string, object, object]>([
    ["no model", { model: undefined }, { code: "missing_required_parameter", param: "model" }],
    ["no query", { query: undefined }, { code: "missing_required_parameter", param: "query" }],
    ["an empty query", { query: "" }, { param: "query" }],
    ["no documents", { documents: undefined }, { param: "documents" }],
    ["an empty list", { documents: [] }, { param: "documents" }],
    ["a text alone", { documents: "a" }, { param: "documents" }],
    ["an empty document", { documents: ["a", ""] }, { param: "documents[1]" }],
    ["a number among them", { documents: ["a", 5] }, { param: "documents[1]" }],
    ["an object without text", { documents: [{ text: "a" }, {}] }, { param: "documents[1].text" }],
    ["a list among them", { documents: [{ text: "a" }, ["b"]] }, { param: "documents[1]" }],
    [
      "more than a text in an object",
      { documents: ["a", { text: "b", title: "c" }] },
      { code: "unknown_parameter", param: "documents[1].title" },
    ],
    ["too many", { documents: Array(2_049).fill("a") }, { param: "documents" }],
    ["none to show", { top_n: 0 }, { param: "top_n" }],
    ["a wrong type", { return_documents: "yes" }, { param: "return_documents" }],
    ["an unknown field", { texts: ["a"] }, { code: "unknown_parameter", param: "texts" }],
  ])("refuses %s", async (_, changed, expected) => {
    const response = await post("/v1/rerank", { model, query, documents, ...changed });
    expect(await errorOf(response)).toMatchObject({ status: 400, ...expected });
    expect(messages).toHaveLength(0);
  });

  it("says what is the least that may be shown", async () => {
    const { message } = await errorOf(
      await post("/v1/rerank", { model, query, documents, top_n: 0 }),
    );
    expect(message).toMatch(/^top_n must be greater than 0\./);
  });

  it("takes null for what may be left out", async () => {
    const none = { top_n: null, return_documents: null, truncation_direction: null, user: null };
    const response = await post("/v1/rerank", { model, query, documents, ...none });
    expect(response.status).toBe(200);
    expect(response.headers.get("x-warnings")).toBeNull();
    expect(messages[0]?.parameters).toEqual({ truncate: true });
    const required = await errorOf(await post("/v1/rerank", { model, documents, query: null }));
    expect(required).toMatchObject({ code: "invalid_value", param: "query" });
    const unknown = await errorOf(
      await post("/v1/rerank", { model, query, documents, texts: null }),
    );
    expect(unknown).toMatchObject({ code: "unknown_parameter", param: "texts" });
  });

  it("says what the worker found wrong of the caller's own fields", async () => {
    install(() => ({
      code: "context_length_exceeded",
      message: "inputs[0].texts[2] and inputs[0].query have 600 tokens together.",
      param: "inputs[0].texts[2]",
    }));
    expect(await errorOf(await post("/v1/rerank", { model, query, documents }))).toMatchObject({
      param: "documents[2]",
      message: "documents[2] and query have 600 tokens together.",
    });
    expect(await errorOf(await post("/rerank", { query, texts: documents, model }))).toMatchObject({
      param: "texts[2]",
      message: "texts[2] and query have 600 tokens together.",
    });
  });
});

describe("POST /rerank", () => {
  it("answers a list, with texts where asked", async () => {
    const plain = await post("/rerank", { model, query, texts: documents });
    expect([plain.status, await plain.json()]).toEqual([200, ranking]);
    const body = { model, query, texts: documents, raw_scores: true, return_text: true };
    const withTexts = await post("/rerank", { ...body, truncation_direction: "left" });
    expect(await withTexts.json()).toEqual(
      ranking.map((entry) => ({ ...entry, text: documents[entry.index] })),
    );
    expect(messages[1]?.parameters).toEqual({
      raw_scores: true,
      return_text: true,
      truncation_direction: "left",
    });
  });

  it("takes what litellm sends: TEI's own spelling of directions, and top_n", async () => {
    const body = { model, query, texts: documents, top_n: 2, truncate: true };
    for (const truncation_direction of ["Right", "Left"]) {
      const response = await post("/rerank", { ...body, truncation_direction });
      expect([response.status, await response.json()]).toEqual([200, ranking.slice(0, 2)]);
    }
    expect(messages.map(({ parameters }) => parameters)).toEqual([
      { truncate: true, truncation_direction: "right" },
      { truncate: true, truncation_direction: "left" },
    ]);
  });

  it("ranks by the first model that can where none is named, and says which", async () => {
    const encoder = { ...miniLm, tasks: [...miniLm.tasks, "rerank" as const] };
    const fresh = { bindings: bindingsWith({}) };
    await announce([{ ...allRounder, id: "a-cross-encoder", aliases: [] }, encoder]);
    const response = await post("/rerank", { query, texts: documents }, fresh);
    expect(response.status).toBe(200);
    expect(response.headers.get("x-warnings")).toContain(miniLm.id);
    expect(messages).toMatchObject([{ model: miniLm.id }]);
  });

  it("counts its callers as every route does", async () => {
    const headers = { authorization: "Bearer nobody" };
    const refused = await post(
      "/rerank",
      { model, query, texts: documents },
      { headers, operator: false },
    );
    expect(await errorOf(refused)).toMatchObject({ status: 401, code: "invalid_api_key" });
    const address = freshAddress();
    const counted = await post(
      "/rerank",
      { model, query, texts: documents },
      { operator: false, address },
    );
    expect(counted.status).toBe(200);
    expect(counted.headers.get("x-ratelimit-remaining-requests")).toBe("59");
  });

  it.each<[string, object, object]>([
    ["no texts", { texts: undefined }, { code: "missing_required_parameter", param: "texts" }],
    ["an empty text", { texts: ["a", ""] }, { param: "texts[1]" }],
    ["objects", { texts: [{ text: "a" }] }, { param: "texts[0]" }],
    ["a query of a wrong type", { query: ["a"] }, { param: "query" }],
    ["a strange direction", { truncation_direction: "up" }, { param: "truncation_direction" }],
    ["an unknown field", { documents: ["a"] }, { code: "unknown_parameter", param: "documents" }],
  ])("refuses %s", async (_, changed, expected) => {
    const response = await post("/rerank", { model, query, texts: documents, ...changed });
    expect(await errorOf(response)).toMatchObject({ status: 400, ...expected });
    expect(messages).toHaveLength(0);
  });
});
