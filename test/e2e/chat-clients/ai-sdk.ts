/** Vercel's `ai` with both of its providers of OpenAI's API, unmodified. */
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, streamText } from "ai";
import { describe, expect, it } from "vitest";
import { model } from "../chat-model.ts";
import { maxTokens, messageOf, prompt, question, type Running } from "./chat-truth.ts";

const greedy = { temperature: 0, maxOutputTokens: maxTokens, maxRetries: 0 };

export function describeAiSdk(running: Running): void {
  const settings = () => {
    const { operatorKey, url } = running();
    return { apiKey: operatorKey, baseURL: `${url}/v1` };
  };
  const compatible = () =>
    createOpenAICompatible({ ...settings(), name: "llm-os", includeUsage: true });
  const providers = [
    {
      name: "@ai-sdk/openai",
      chat: (name: string) => createOpenAI(settings()).chat(name),
      completion: (name: string) => createOpenAI(settings()).completion(name),
    },
    {
      name: "@ai-sdk/openai-compatible",
      chat: (name: string) => compatible().chatModel(name),
      completion: (name: string) => compatible().completionModel(name),
    },
  ];

  describe.each(providers)("$name", ({ chat, completion }) => {
    it("continues a conversation, whole and streamed", async () => {
      const expected = await messageOf(running());
      const whole = await generateText({ model: chat(model), prompt: question, ...greedy });
      expect(whole.text).toBe(expected);
      expect(whole.usage.outputTokens).toBeGreaterThan(0);
      const streamed = streamText({ model: chat(model), prompt: question, ...greedy });
      let text = "";
      for await (const part of streamed.textStream) text += part;
      expect(text).toBe(expected);
      expect((await streamed.usage).outputTokens).toBe(whole.usage.outputTokens);
      expect(await streamed.finishReason).toBe(whole.finishReason);
    });

    it("goes on with a text", async () => {
      // It words a prompt as a conversation, so what is written differs from what the prompt alone goes on with.
      const { usage } = await generateText({ model: completion(model), prompt, ...greedy });
      expect(usage.outputTokens).toBeGreaterThan(0);
    });

    it("shows what is wrong", async () => {
      const asked = generateText({ model: chat("nope"), prompt: question, ...greedy });
      const error = await asked.catch((reason: unknown) => reason);
      expect(APICallError.isInstance(error)).toBe(true);
      expect(error).toMatchObject({ statusCode: 404, message: expect.stringContaining("nope") });
    });
  });
}
