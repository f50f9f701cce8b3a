/** The official clients, unmodified, against the whole running stack. */
import { gzipSync } from "node:zlib";
import { createCohere } from "@ai-sdk/cohere";
import { InferenceClient } from "@huggingface/inference";
import { Tiktoken } from "js-tiktoken/lite";
import ranks from "js-tiktoken/ranks/cl100k_base";
import { rerank } from "ai";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";
import { cosine, readReferences } from "./vectors.ts";

const model = "sentence-transformers/all-MiniLM-L6-v2";
const references = readReferences();
const cl100k = new Tiktoken(ranks);
let stack: RunningStack;

beforeAll(async () => {
  stack = await startStack();
});

afterAll(() => stack.stop());

/** A call as any HTTP client makes it. */
function post(
  path: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
) {
  const authorization = `Bearer ${stack.operatorKey}`;
  return fetch(`${stack.url}${path}`, {
    method: "POST",
    headers: { authorization, "content-type": "application/json", ...headers },
    body,
  });
}

/** int8 storage computed in either form stays above these against PyTorch in f32. */
function expectRight(vectors: ArrayLike<number>[]): void {
  const cosines = references.map(({ embedding }, i) => cosine(embedding, vectors[i] ?? []));
  if (cosines.length === 0) return;
  expect(Math.min(...cosines)).toBeGreaterThanOrEqual(0.98);
  expect(cosines.reduce((sum, value) => sum + value, 0) / cosines.length).toBeGreaterThanOrEqual(
    0.995,
  );
}

const texts =
  references.length > 0 ? references.map(({ text }) => text) : ["a cat", "a kitten", "tax law"];

function client(): OpenAI {
  return new OpenAI({ apiKey: stack.operatorKey, baseURL: `${stack.url}/v1` });
}

function endpoint() {
  return new InferenceClient(stack.operatorKey).endpoint(`${stack.url}/hf/models/${model}`);
}

describe("openai", () => {
  it("gets the same right vectors in both encodings", async () => {
    const float = await client().embeddings.create({
      model,
      input: texts,
      encoding_format: "float",
    });
    const base64 = await client().embeddings.create({ model, input: texts });
    expect(float.data.map(({ index }) => index)).toEqual(texts.map((_, i) => i));
    expect(float.data[0]?.embedding.length).toBe(384);
    for (const [i, { embedding }] of float.data.entries()) {
      expect(cosine(embedding, base64.data[i]?.embedding ?? [])).toBeGreaterThan(0.999999);
    }
    expectRight(float.data.map(({ embedding }) => embedding));
    expect(float.usage.prompt_tokens).toBe(float.usage.total_tokens);
    if (references.length > 0) {
      const tokens = references.reduce((sum, { input_ids }) => sum + input_ids.length, 0);
      expect(float.usage.prompt_tokens).toBe(tokens);
    }
  });

  it("gets the vectors of the texts for ids of OpenAI's vocabulary, and pays for the texts", async () => {
    const ids = texts.map((text) => cl100k.encode(text, "all"));
    const expected = await client().embeddings.create({ model, input: texts });
    const { data, response } = await client()
      .embeddings.create({ model, input: ids })
      .withResponse();
    for (const [at, { embedding }] of expected.data.entries()) {
      expect(cosine(embedding, data.data[at]?.embedding ?? [])).toBeGreaterThan(0.9999);
    }
    expect(data.usage).toEqual(expected.usage);
    expect(response.headers.get("x-warnings")).toContain(`of ${texts.length} inputs`);
    expect(response.headers.get("x-warnings")).toContain("cl100k_base");
    const single = await client().embeddings.create({ model, input: ids[0] ?? [] });
    const [vector] = single.data;
    expect(cosine(vector?.embedding ?? [], expected.data[0]?.embedding ?? [])).toBeGreaterThan(
      0.9999,
    );
  });

  it("gets the vectors of the model's own ids where it says that they are", async () => {
    // hello, without special tokens
    const asked = { model, input: [[7592]] };
    const headers = { "x-token-ids": "model" };
    const own = await client().embeddings.create(asked, { headers }).withResponse();
    const foreign = await client().embeddings.create(asked).withResponse();
    const text = await client().embeddings.create({ model, input: "hello" });
    const [expected] = text.data;
    const cosineOf = ({ data }: OpenAI.CreateEmbeddingResponse) =>
      cosine(data[0]?.embedding ?? [], expected?.embedding ?? []);
    expect(cosineOf(own.data)).toBeGreaterThan(0.9999);
    expect(cosineOf(foreign.data)).toBeLessThan(0.9);
    expect(own.response.headers.get("x-warnings")).toContain("all-MiniLM-L6-v2's own");
    expect(foreign.response.headers.get("x-warnings")).toContain("cl100k_base");
  });

  it("gets an error that names an id of no vocabulary", async () => {
    const asked = client().embeddings.create({ model, input: [[15, 100_256]] });
    await expect(asked).rejects.toMatchObject({
      status: 400,
      code: "invalid_value",
      param: "input[0][1]",
    });
  });

  it("gets the vectors of token ids with the model's special tokens", async () => {
    // [CLS] hello [SEP]: the tokenizer of the model says so
    const ids = await client().embeddings.create({ model, input: [[101, 7592, 102]] });
    const text = await client().embeddings.create({ model, input: "hello" });
    expect(cosine(ids.data[0]?.embedding ?? [], text.data[0]?.embedding ?? [])).toBeGreaterThan(
      0.9999,
    );
  });

  it("lists the model by both of its names", async () => {
    const ids: string[] = [];
    for await (const row of client().models.list()) ids.push(row.id);
    expect(ids).toContain("all-MiniLM-L6-v2");
    expect((await client().models.retrieve("all-MiniLM-L6-v2")).object).toBe("model");
  });

  it("gets an error it understands", async () => {
    const asked = client().embeddings.create({ model: "no-such-model", input: "x" });
    await expect(asked).rejects.toMatchObject({ status: 404, code: "model_not_found" });
  });
});

describe("@ai-sdk/cohere", () => {
  it("ranks documents", async () => {
    const cohere = createCohere({ apiKey: stack.operatorKey, baseURL: `${stack.url}/v2` });
    const documents = ["corporate tax law", "a kitten"];
    const { ranking, rerankedDocuments } = await rerank({
      model: cohere.reranking("all-MiniLM-L6-v2"),
      query: "a small cat",
      documents,
      topN: 1,
    });
    expect(rerankedDocuments).toEqual(["a kitten"]);
    expect(ranking).toMatchObject([{ originalIndex: 1, score: expect.any(Number) }]);
  });
});

describe("any HTTP client", () => {
  it("may send gzip, large and small", async () => {
    for (const input of ["hello", Array(2_048).fill("hello there")]) {
      const packed = gzipSync(JSON.stringify({ model, input }));
      const headers = { "content-encoding": "gzip" };
      const response = await post("/v1/embeddings", new Uint8Array(packed), headers);
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ data: { length: [input].flat().length } });
    }
  });

  it("is told how to have a text cut that is too long, by the name it gave the text, and may", async () => {
    const input = "hello ".repeat(600);
    const refused = await post("/v1/embeddings", JSON.stringify({ model, input }));
    expect([refused.status, await refused.json()]).toMatchObject([
      400,
      {
        error: {
          code: "context_length_exceeded",
          param: "input",
          message: expect.stringMatching(/^input has 602 tokens.*truncate/),
        },
      },
    ]);
    const cut = await post("/v1/embeddings", JSON.stringify({ model, input, truncate: true }));
    expect([cut.status, await cut.json()]).toMatchObject([200, { usage: { truncated_inputs: 1 } }]);
  });
});

describe("@huggingface/inference", () => {
  it("extracts features", async () => {
    const vectors = await endpoint().featureExtraction({ inputs: texts });
    expectRight(vectors as number[][]);
    expect((vectors as number[][]).length).toBe(texts.length);
  });

  it("compares sentences", async () => {
    const scores = await endpoint().sentenceSimilarity({
      inputs: { source_sentence: "a small cat", sentences: ["a kitten", "corporate tax law"] },
    });
    expect(scores).toHaveLength(2);
    expect(scores[0]).toBeGreaterThan(0.6);
    expect(scores[1]).toBeLessThan(0.3);
  });
});
