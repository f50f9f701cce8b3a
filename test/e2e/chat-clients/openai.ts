/** OpenAI's own client, unmodified: chat and completions, whole, streamed and broken off. */
import OpenAI, { BadRequestError } from "openai";
import { describe, expect, it } from "vitest";
import { noSchemas, wrongBy } from "../../openai-schema.ts";
import { isLarge, model } from "../chat-model.ts";
import {
  maxTokens,
  messageOf,
  messages,
  prompt,
  type Running,
  says,
  textOf,
} from "./chat-truth.ts";

const greedy = { model, temperature: 0, max_tokens: maxTokens };

export function describeOpenai(running: Running): void {
  const client = () => {
    const { operatorKey, url } = running();
    return new OpenAI({ apiKey: operatorKey, baseURL: `${url}/v1` });
  };

  describe("openai", () => {
    it.skipIf(noSchemas !== null)("lists models as the published schema has them", async () => {
      const listed = await client().models.list().asResponse();
      const list: unknown = await listed.json();
      expect(wrongBy("ListModelsResponse", list)).toEqual([]);
      expect(list).toMatchObject({
        data: expect.arrayContaining([expect.objectContaining({ id: model })]),
      });
      expect(wrongBy("Model", await client().models.retrieve(model))).toEqual([]);
    });

    it.skipIf(noSchemas !== null)("embeds as the published schema has it", async () => {
      const asked = { model: "all-MiniLM-L6-v2", input: "one", encoding_format: "float" } as const;
      const answered = await client().embeddings.create(asked).asResponse();
      expect(wrongBy("CreateEmbeddingResponse", await answered.json())).toEqual([]);
    });

    it("continues a conversation", async () => {
      const expected = await messageOf(running());
      expect(expected).not.toBe("");
      const answer = await client().chat.completions.create({ ...greedy, messages });
      expect(answer.choices[0]?.message).toEqual({
        role: "assistant",
        content: expected,
        refusal: null,
      });
      expect(answer.id).toMatch(/^chatcmpl-/);
      const { prompt_tokens: read = 0, completion_tokens: made = 0, ...rest } = answer.usage ?? {};
      expect(made).toBeGreaterThan(0);
      expect(rest).toMatchObject({ total_tokens: read + made });
    });

    it("continues it as a stream, with the usage where it is asked for", async () => {
      const stream = await client().chat.completions.create({
        ...greedy,
        messages,
        stream: true,
        stream_options: { include_usage: true },
      });
      const chunks: OpenAI.ChatCompletionChunk[] = [];
      for await (const chunk of stream) chunks.push(chunk);
      for (const chunk of chunks) {
        if (noSchemas !== null) continue;
        expect(wrongBy("CreateChatCompletionStreamResponse", chunk)).toEqual([]);
      }
      const deltas = chunks.flatMap(({ choices }) => choices);
      expect(deltas[0]?.delta).toEqual({ role: "assistant", content: "", refusal: null });
      const text = deltas.map(({ delta }) => delta.content ?? "").join("");
      expect(text).toBe(await messageOf(running()));
      const ends = deltas.flatMap(({ finish_reason: end }) => end ?? []);
      expect(ends).toHaveLength(1);
      expect(chunks.at(-1)).toMatchObject({
        choices: [],
        usage: { completion_tokens: expect.any(Number) },
      });
      expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
      expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
    });

    it("has its own helper put a stream together", async () => {
      const stream = client().chat.completions.stream({ ...greedy, messages });
      expect(await stream.finalContent()).toBe(await messageOf(running()));
    });

    it("tells log probabilities, whole and streamed alike", async () => {
      const asked = { ...greedy, messages, logprobs: true, top_logprobs: 3 };
      const { choices } = await client().chat.completions.create(asked);
      const whole = choices[0]?.logprobs?.content ?? [];
      expect(whole.length).toBeGreaterThan(0);
      for (const { logprob, top_logprobs: top } of whole) {
        expect(top).toHaveLength(3);
        expect(top[0]?.logprob).toBe(logprob);
      }
      // Words of the small one's tokenizer have no spaces of their own.
      const bytes = whole.flatMap((token) => token.bytes ?? []);
      if (isLarge) expect(Buffer.from(bytes).toString()).toBe(choices[0]?.message.content);
      const streamed: OpenAI.ChatCompletionTokenLogprob[] = [];
      for await (const chunk of await client().chat.completions.create({
        ...asked,
        stream: true,
      })) {
        streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []));
      }
      expect(streamed).toEqual(whole);
    });

    it("breaks a stream off, and is answered again", async () => {
      const long = { model, messages, stream: true as const, logit_bias: {} };
      const stream = await client().chat.completions.create(long);
      let chunks = 0;
      let ended = false;
      for await (const { choices } of stream) {
        chunks += 1;
        if (chunks === 2) stream.controller.abort();
        ended ||= choices.some(({ finish_reason: end }) => end !== null);
      }
      // The client goes on with what it had read before: how much that is depends on what else the machine does.
      expect(chunks).toBeGreaterThanOrEqual(2);
      expect(ended).toBe(false);
      expect(await textOf(running())).toMatch(says);
    });

    it("writes several choices, the same for the same seed", async () => {
      const asked = { model, messages, max_tokens: 5, n: 3, seed: 11, temperature: 1.5 };
      const textsOf = async (headers: Record<string, string>) => {
        const { choices } = await client().chat.completions.create(asked, { headers });
        return choices.map(({ message }) => message.content);
      };
      const first = await textsOf({});
      expect(first).toHaveLength(3);
      expect(await textsOf({ "cache-control": "no-store" })).toEqual(first);
    });

    it("goes on with texts, whole and streamed", async () => {
      const expected = await textOf(running());
      expect(expected).toMatch(says);
      const answer = await client().completions.create({ ...greedy, prompt: [prompt, prompt] });
      expect(answer.choices.map(({ text, index }) => [index, text])).toEqual([
        [0, expected],
        [1, expected],
      ]);
      let text = "";
      for await (const chunk of await client().completions.create({
        ...greedy,
        prompt,
        stream: true,
      })) {
        text += chunk.choices[0]?.text ?? "";
      }
      expect(text).toBe(expected);
    });

    it("repeats the prompt with its log probabilities", async () => {
      const { choices } = await client().completions.create({
        ...greedy,
        prompt,
        echo: true,
        logprobs: 1,
      });
      expect(choices[0]?.text).toBe(`${prompt}${await textOf(running())}`);
      const {
        tokens = [],
        text_offset: offsets = [],
        top_logprobs: top = [],
      } = choices[0]?.logprobs ?? {};
      expect(offsets[0]).toBe(0);
      expect([offsets.length, top.length]).toEqual([tokens.length, tokens.length]);
      if (isLarge) expect(tokens.join("")).toBe(choices[0]?.text);
    });

    it("gets an error of its own class for what the model has no room for", async () => {
      const asked = { model, messages, max_tokens: 300_000 };
      for (const stream of [false, true]) {
        const error = await client()
          .chat.completions.create({ ...asked, stream })
          .catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(BadRequestError);
        expect(error).toMatchObject({ code: "context_length_exceeded", param: "max_tokens" });
      }
    });
  });
}
