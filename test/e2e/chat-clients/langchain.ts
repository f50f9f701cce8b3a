/** LangChain's JavaScript client of OpenAI's chat, unmodified. */
import { ChatOpenAI } from "@langchain/openai";
import { describe, expect, it } from "vitest";
import { model } from "../chat-model.ts";
import { maxTokens, messageOf, question, type Running } from "./chat-truth.ts";

export function describeLangChain(running: Running): void {
  const chat = (fields: { model?: string } = {}) => {
    const { operatorKey, url } = running();
    return new ChatOpenAI({
      model,
      apiKey: operatorKey,
      temperature: 0,
      maxTokens,
      maxRetries: 0,
      ...fields,
      configuration: { baseURL: `${url}/v1` },
    });
  };

  describe("@langchain/openai", () => {
    it("continues a conversation, whole and streamed", async () => {
      const expected = await messageOf(running());
      const whole = await chat().invoke(question);
      expect(whole.content).toBe(expected);
      expect(whole).toMatchObject({ usage_metadata: { output_tokens: expect.any(Number) } });
      let text = "";
      for await (const chunk of await chat().stream(question)) text += String(chunk.content);
      expect(text).toBe(expected);
    });

    it("shows what is wrong", async () => {
      const error = await chat({ model: "nope" })
        .invoke(question)
        .catch((reason: unknown) => reason);
      expect(error).toMatchObject({ status: 404, message: expect.stringContaining("nope") });
    });
  });
}
