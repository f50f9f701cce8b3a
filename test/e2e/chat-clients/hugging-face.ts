/** Hugging Face's JavaScript client, unmodified: text generation and chat, whole and streamed. */
import { InferenceClient, InferenceClientProviderApiError } from "@huggingface/inference";
import { describe, expect, it } from "vitest";
import { model } from "../chat-model.ts";
import { maxTokens, messageOf, messages, prompt, type Running, textOf } from "./chat-truth.ts";

export function describeHuggingFace(running: Running): void {
  const endpoint = (name = model) => {
    const { operatorKey, url } = running();
    return new InferenceClient(operatorKey).endpoint(`${url}/hf/models/${name}`);
  };

  describe("@huggingface/inference", () => {
    const parameters = { max_new_tokens: maxTokens, do_sample: false };
    const asked = { messages, max_tokens: maxTokens, temperature: 0 };

    it("goes on with a text", async () => {
      const answer = await endpoint().textGeneration({ inputs: prompt, parameters });
      expect(answer.generated_text).toBe(await textOf(running()));
      const whole = { ...parameters, return_full_text: true };
      const full = await endpoint().textGeneration({ inputs: prompt, parameters: whole });
      expect(full.generated_text).toBe(prompt + answer.generated_text);
    });

    it("goes on with it token by token", async () => {
      const events = [];
      for await (const event of endpoint().textGenerationStream({ inputs: prompt, parameters })) {
        events.push(event);
      }
      const text = await textOf(running());
      expect(events.map(({ token }) => token.text).join("")).toBe(text);
      expect(events.at(-1)).toMatchObject({ generated_text: text, details: { seed: null } });
      expect(events.slice(0, -1).every((event) => event.generated_text === null)).toBe(true);
    });

    it("continues a conversation, whole and streamed", async () => {
      const expected = await messageOf(running());
      const whole = await endpoint().chatCompletion(asked);
      expect(whole.choices[0]?.message.content).toBe(expected);
      let text = "";
      for await (const chunk of endpoint().chatCompletionStream(asked)) {
        text += chunk.choices[0]?.delta.content ?? "";
      }
      expect(text).toBe(expected);
    });

    it("gets an error of its own class", async () => {
      const error = await endpoint("nope")
        .chatCompletion(asked)
        .catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(InferenceClientProviderApiError);
      expect(error).toMatchObject({ httpResponse: { status: 404 } });
    });
  });
}
