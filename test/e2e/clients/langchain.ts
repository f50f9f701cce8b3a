/** LangChain's JavaScript client of OpenAI, unmodified. */
import { OpenAIEmbeddings } from "@langchain/openai";
import { describe, expect, it } from "vitest";
import {
  countedFetch,
  expectSame,
  freeKey,
  freshText,
  mistakes,
  model,
  type Running,
  texts,
  tooMuch,
  vectorsOf,
} from "./truth.ts";

export function describeLangChain(running: Running): void {
  function encoder(fields: { model?: string; apiKey?: string; batchSize?: number } = {}) {
    const { sent, fetch } = countedFetch();
    const { operatorKey, url } = running();
    const configuration = { baseURL: `${url}/v1`, fetch };
    return {
      sent,
      embeddings: new OpenAIEmbeddings({ model, apiKey: operatorKey, ...fields, configuration }),
    };
  }

  describe("@langchain/openai", () => {
    it("embeds documents, in batches of its own, and a query", async () => {
      const expected = await vectorsOf(running(), texts);
      const { sent, embeddings } = encoder({ batchSize: 2 });
      expectSame(await embeddings.embedDocuments(texts), expected);
      expect(sent.count).toBe(Math.ceil(texts.length / 2));
      expectSame([await embeddings.embedQuery(texts[0] ?? "")], expected.slice(0, 1));
    });

    it.each(mistakes)(
      "shows what is wrong, asked once: $what",
      async ({ name, text, key, status, says }) => {
        const { sent, embeddings } = encoder({
          model: name,
          apiKey: key ?? running().operatorKey,
        });
        await expect(embeddings.embedQuery(text)).rejects.toMatchObject({
          status,
          message: expect.stringMatching(says),
        });
        expect(sent.count).toBe(1);
      },
    );

    it("waits for its turn, and does not ask again where the day is used up", async () => {
      const { sent, embeddings } = encoder({ apiKey: freeKey });
      const asked = [freshText(), freshText()].map((text) => embeddings.embedQuery(text));
      expect(await Promise.all(asked)).toHaveLength(2);
      expect(sent.count).toBe(3);
      const refused = embeddings.embedDocuments(tooMuch);
      await expect(refused).rejects.toMatchObject({ name: "InsufficientQuotaError" });
      expect(sent.count).toBe(4);
    });
  });
}
