/** The clients of OpenAI's responses, unmodified: OpenAI's own, LangChain's and Vercel's. */
import { createOpenAI } from "@ai-sdk/openai";
import { ChatOpenAI } from "@langchain/openai";
import { generateText, type ModelMessage, streamText } from "ai";
import OpenAI, { BadRequestError, NotFoundError } from "openai";
import { describe, expect, it } from "vitest";
import { noSchemas, wrongBy } from "../../openai-schema.ts";
import { model } from "../chat-model.ts";
import { maxTokens, messageOf, question, type Running } from "./chat-truth.ts";

const greedy = { model, temperature: 0, max_output_tokens: maxTokens };

type Event = OpenAI.Responses.ResponseStreamEvent;
type Made = OpenAI.Responses.Response;

function responseIn(event: Event | undefined): Made {
  if (event === undefined || !("response" in event)) throw new Error("no response is told");
  return event.response;
}

async function read(stream: AsyncIterable<Event>, count = Infinity): Promise<Event[]> {
  const events: Event[] = [];
  for await (const event of stream) {
    if (noSchemas === null) expect(wrongBy("ResponseStreamEvent", event)).toEqual([]);
    events.push(event);
    if (events.length >= count) break;
  }
  return events;
}

const numbersOf = (events: readonly Event[]) => events.map(({ sequence_number: number }) => number);

export function describeResponses(running: Running): void {
  const client = () => {
    const { operatorKey, url } = running();
    return new OpenAI({ apiKey: operatorKey, baseURL: `${url}/v1`, maxRetries: 0 });
  };

  describe("openai's responses", () => {
    it("are made, asked for, followed and deleted", async () => {
      const expected = await messageOf(running());
      const { responses } = client();
      const made = await responses.create({ ...greedy, input: question });
      expect(made.output_text).toBe(expected);
      const kept = await responses.retrieve(made.id);
      expect(kept).toEqual(made);
      const { output_text: _, ...plain } = kept;
      if (noSchemas === null) expect(wrongBy("Response", plain)).toEqual([]);
      const next = await responses.create({
        ...greedy,
        input: question,
        previous_response_id: made.id,
      });
      const items = [];
      for await (const item of responses.inputItems.list(next.id, { limit: 2, order: "asc" })) {
        items.push(item);
      }
      expect(items.map((item) => ("role" in item ? item.role : null))).toEqual([
        "user",
        "assistant",
        "user",
      ]);
      await responses.delete(made.id);
      await expect(responses.retrieve(made.id)).rejects.toBeInstanceOf(NotFoundError);
      const orphan = responses.create({ ...greedy, input: "x", previous_response_id: made.id });
      await expect(orphan).rejects.toBeInstanceOf(BadRequestError);
    });

    it("come as events, by themselves and by the helper that gathers them", async () => {
      const expected = await messageOf(running());
      const asked = { ...greedy, input: question };
      const events = await read(await client().responses.create({ ...asked, stream: true }));
      expect(numbersOf(events)).toEqual(events.map((_, index) => index));
      const text = events.flatMap((event) =>
        event.type === "response.output_text.delta" ? [event.delta] : [],
      );
      expect(text.join("")).toBe(expected);
      const helped = await client().responses.stream(asked).finalResponse();
      expect(helped.output_text).toBe(expected);
      const told = await client()
        .responses.stream({ ...asked, include: ["message.output_text.logprobs"], top_logprobs: 2 })
        .finalResponse();
      const [item] = told.output;
      const [part] = item?.type === "message" ? item.content : [];
      const logprobs = part?.type === "output_text" ? (part.logprobs ?? []) : [];
      expect(logprobs.length).toBeGreaterThan(0);
      expect(logprobs.every(({ top_logprobs: top }) => top.length === 2)).toBe(true);
    });

    it("go on in the background, and are read on from where a reader broke off", async () => {
      const { responses } = client();
      const asked = { model, input: question, max_output_tokens: 24, background: true };
      const first = await read(await responses.create({ ...asked, stream: true }), 5);
      const { id } = responseIn(first[0]);
      const cursor = { stream: true as const, starting_after: first.length - 1 };
      const rest = await read(await responses.retrieve(id, cursor));
      const all = [...first, ...rest];
      expect(numbersOf(all)).toEqual(all.map((_, index) => index));
      const made = responseIn(all.at(-1));
      expect(await responses.retrieve(id)).toMatchObject(made);
      const replayed = responses.stream({ response_id: id, starting_after: 3 });
      expect((await replayed.finalResponse()).output_text).toBe(
        (await responses.retrieve(id)).output_text,
      );
      const queued = await responses.create(asked);
      let polled = queued;
      await expect
        .poll(async () => (polled = await responses.retrieve(queued.id)).status, {
          timeout: 120_000,
        })
        .toMatch(/completed|incomplete/);
      expect(polled.output_text).not.toBe("");
    });

    it("are cancelled", async () => {
      const { responses } = client();
      const asked = { model, input: question, max_output_tokens: 400, background: true };
      const { id } = await responses.create(asked);
      expect(await responses.cancel(id)).toMatchObject({ id, status: "cancelled" });
      expect(await responses.retrieve(id)).toMatchObject({ status: "cancelled" });
    });
  });

  describe("@langchain/openai with useResponsesApi", () => {
    it("continues a conversation, whole and streamed", async () => {
      const { operatorKey, url } = running();
      const chat = new ChatOpenAI({
        model,
        apiKey: operatorKey,
        temperature: 0,
        maxTokens,
        maxRetries: 0,
        useResponsesApi: true,
        configuration: { baseURL: `${url}/v1` },
      });
      const expected = await messageOf(running());
      const whole = await chat.invoke(question);
      expect(whole.text).toBe(expected);
      expect(whole).toMatchObject({ usage_metadata: { output_tokens: expect.any(Number) } });
      let text = "";
      for await (const chunk of await chat.stream(question)) text += chunk.text;
      expect(text).toBe(expected);
      const next = await chat.invoke([["user", question], whole, ["user", question]]);
      expect(next.text).not.toBe("");
    });
  });

  describe("@ai-sdk/openai by its default, responses", () => {
    it("continues a conversation, whole and streamed, and refers to what was said", async () => {
      const { operatorKey, url } = running();
      const bodies: string[] = [];
      const provider = createOpenAI({
        apiKey: operatorKey,
        baseURL: `${url}/v1`,
        fetch: (address, init) => {
          bodies.push(String(init?.body));
          return fetch(address, init);
        },
      });
      const own = provider(model);
      const settings = { model: own, temperature: 0, maxOutputTokens: maxTokens, maxRetries: 0 };
      const expected = await messageOf(running());
      const whole = await generateText({ ...settings, prompt: question });
      expect(whole.text).toBe(expected);
      const streamed = streamText({ ...settings, prompt: question });
      let text = "";
      for await (const part of streamed.textStream) text += part;
      expect(text).toBe(expected);
      expect((await streamed.usage).outputTokens).toBe(whole.usage.outputTokens);
      const user: ModelMessage = { role: "user", content: question };
      const messages = [user, ...whole.response.messages, user];
      const next = await generateText({ ...settings, messages });
      expect(bodies.at(-1)).toContain("item_reference");
      expect(next.text).not.toBe("");
    });
  });
}
