/** Hugging Face's JavaScript client, unmodified; tasks.test.ts has every task through it. */
import { InferenceClient, InferenceClientProviderApiError } from "@huggingface/inference";
import { describe, expect, it } from "vitest";
import type { RunningStack } from "../../../infra/local/start-stack.ts";
import { expectRight, mistakes, model, type Running, texts, tooMuch } from "./truth.ts";

function endpoint({ operatorKey, url }: RunningStack) {
  return new InferenceClient(operatorKey).endpoint(`${url}/hf/models/${model}`);
}

export function describeHuggingFace(running: Running): void {
  describe("@huggingface/inference", () => {
    it("extracts features", async () => {
      const vectors = await endpoint(running()).featureExtraction({ inputs: texts });
      expectRight(vectors as number[][]);
      expect((vectors as number[][]).length).toBe(texts.length);
    });

    it("compares sentences", async () => {
      const scores = await endpoint(running()).sentenceSimilarity({
        inputs: { source_sentence: "a small cat", sentences: ["a kitten", "corporate tax law"] },
      });
      expect(scores).toHaveLength(2);
      expect(scores[0]).toBeGreaterThan(0.6);
      expect(scores[1]).toBeLessThan(0.3);
    });

    it.each(mistakes)(
      "gets an error of its own class: $what",
      async ({ name, text, key, status, says }) => {
        const { operatorKey, url } = running();
        const client = new InferenceClient(key ?? operatorKey);
        const asked = client
          .endpoint(`${url}/hf/models/${name}`)
          .featureExtraction({ inputs: text });
        const error = await asked.catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(InferenceClientProviderApiError);
        expect(error).toMatchObject({
          httpResponse: { status, body: { error: expect.stringMatching(says) } },
        });
      },
    );

    it("is told that the day is used up", async () => {
      const free = new InferenceClient().endpoint(`${running().url}/hf/models/${model}`);
      const refused = free.featureExtraction({ inputs: tooMuch });
      await expect(refused).rejects.toMatchObject({ httpResponse: { status: 429 } });
    });
  });
}
