/** OpenAI's own client, unmodified. */
import { Tiktoken } from "js-tiktoken/lite";
import ranks from "js-tiktoken/ranks/cl100k_base";
import OpenAI, {
  AuthenticationError,
  BadRequestError,
  NotFoundError,
  RateLimitError,
} from "openai";
import { describe, expect, it } from "vitest";
import type { RunningStack } from "../../../infra/local/start-stack.ts";
import { cosine } from "../vectors.ts";
import {
  countedFetch,
  expectRight,
  expectSame,
  freeKey,
  freshText,
  mistakes,
  model,
  references,
  type Running,
  texts,
  tooLong,
  tooMuch,
  vectorsOf,
} from "./truth.ts";

const errorClasses = new Map<number, object>([
  [400, BadRequestError],
  [401, AuthenticationError],
  [404, NotFoundError],
]);
const cl100k = new Tiktoken(ranks);

function client({ operatorKey, url }: RunningStack): OpenAI {
  return new OpenAI({ apiKey: operatorKey, baseURL: `${url}/v1` });
}

export function describeOpenai(running: Running): void {
  describe("openai", () => {
    it("gets the same right vectors in both encodings", async () => {
      const float = await client(running()).embeddings.create({
        model,
        input: texts,
        encoding_format: "float",
      });
      const base64 = await client(running()).embeddings.create({ model, input: texts });
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
      const expected = await client(running()).embeddings.create({ model, input: texts });
      const { data, response } = await client(running())
        .embeddings.create({ model, input: ids })
        .withResponse();
      for (const [at, { embedding }] of expected.data.entries()) {
        expect(cosine(embedding, data.data[at]?.embedding ?? [])).toBeGreaterThan(0.9999);
      }
      expect(data.usage).toEqual(expected.usage);
      expect(response.headers.get("x-warnings")).toContain(`of ${texts.length} inputs`);
      expect(response.headers.get("x-warnings")).toContain("cl100k_base");
      const single = await client(running()).embeddings.create({ model, input: ids[0] ?? [] });
      const [vector] = single.data;
      expect(cosine(vector?.embedding ?? [], expected.data[0]?.embedding ?? [])).toBeGreaterThan(
        0.9999,
      );
    });

    it("gets the vectors of the model's own ids where it says that they are", async () => {
      // hello, without special tokens
      const asked = { model, input: [[7592]] };
      const headers = { "x-token-ids": "model" };
      const own = await client(running()).embeddings.create(asked, { headers }).withResponse();
      const foreign = await client(running()).embeddings.create(asked).withResponse();
      const text = await client(running()).embeddings.create({ model, input: "hello" });
      const [expected] = text.data;
      const cosineOf = ({ data }: OpenAI.CreateEmbeddingResponse) =>
        cosine(data[0]?.embedding ?? [], expected?.embedding ?? []);
      expect(cosineOf(own.data)).toBeGreaterThan(0.9999);
      expect(cosineOf(foreign.data)).toBeLessThan(0.9);
      expect(own.response.headers.get("x-warnings")).toContain("all-MiniLM-L6-v2's own");
      expect(foreign.response.headers.get("x-warnings")).toContain("cl100k_base");
    });

    it("gets an error that names an id of no vocabulary", async () => {
      const asked = client(running()).embeddings.create({ model, input: [[15, 100_256]] });
      await expect(asked).rejects.toMatchObject({
        status: 400,
        code: "invalid_value",
        param: "input[0][1]",
      });
    });

    it("gets the vectors of token ids with the model's special tokens", async () => {
      // [CLS] hello [SEP]: the tokenizer of the model says so
      const ids = await client(running()).embeddings.create({ model, input: [[101, 7592, 102]] });
      const text = await client(running()).embeddings.create({ model, input: "hello" });
      expect(cosine(ids.data[0]?.embedding ?? [], text.data[0]?.embedding ?? [])).toBeGreaterThan(
        0.9999,
      );
    });

    it("lists the model by both of its names", async () => {
      const ids: string[] = [];
      for await (const row of client(running()).models.list()) ids.push(row.id);
      expect(ids).toContain("all-MiniLM-L6-v2");
      expect((await client(running()).models.retrieve("all-MiniLM-L6-v2")).object).toBe("model");
    });

    it("gets as many answers as it asks for at once", async () => {
      const expected = await vectorsOf(running(), texts);
      const asked = texts.map((input) => client(running()).embeddings.create({ model, input }));
      const answers = await Promise.all(asked);
      expectSame(
        answers.map(({ data: [first] }) => first?.embedding ?? []),
        expected,
      );
    });

    it("may say who its user is and how long vectors are, which changes nothing", async () => {
      const asked = { model, input: texts, user: "somebody", dimensions: 384 };
      const { data, response } = await client(running()).embeddings.create(asked).withResponse();
      expectSame(
        data.data.map(({ embedding }) => embedding),
        await vectorsOf(running(), texts),
      );
      expect(response.headers.get("x-warnings")).toBe("user: accepted and not acted on");
      const long = { ...asked, input: tooLong, truncate: true };
      expect((await client(running()).embeddings.create(long)).usage.prompt_tokens).toBe(256);
      const other = client(running()).embeddings.create({ ...asked, dimensions: 8 });
      await expect(other).rejects.toMatchObject({ code: "invalid_value", param: "dimensions" });
    });

    it.each(mistakes)(
      "gets an error of its own class: $what",
      async ({ name, text, key, status, code, says }) => {
        const baseURL = `${running().url}/v1`;
        const asking = new OpenAI({ apiKey: key ?? running().operatorKey, baseURL });
        const asked = asking.embeddings.create({ model: name, input: text });
        const error = await asked.catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(errorClasses.get(status));
        expect(error).toMatchObject({ status, code, message: expect.stringMatching(says) });
      },
    );

    it("is told that this model does not chat", async () => {
      const messages = [{ role: "user" as const, content: "Hello" }];
      const chat = client(running()).chat.completions.create({ model, messages });
      await expect(chat).rejects.toMatchObject({
        status: 400,
        code: "invalid_value",
        param: "model",
      });
    });

    it("waits for its turn, and does not ask again where the day is used up", async () => {
      const { sent, fetch } = countedFetch();
      const free = new OpenAI({ apiKey: freeKey, baseURL: `${running().url}/v1`, fetch });
      const asked = [freshText(), freshText()].map((input) =>
        free.embeddings.create({ model, input }),
      );
      expect(await Promise.all(asked)).toHaveLength(2);
      expect(sent.count).toBe(3);
      const refused = free.embeddings.create({ model, input: tooMuch });
      await expect(refused).rejects.toBeInstanceOf(RateLimitError);
      await expect(refused).rejects.toMatchObject({ code: "insufficient_quota" });
      expect(sent.count).toBe(4);
    });
  });
}
