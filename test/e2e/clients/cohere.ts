/** Cohere's JavaScript clients, of both versions of its API, unmodified. */
import { CohereClient, CohereClientV2, CohereError } from "cohere-ai";
import { describe, expect, it } from "vitest";
import {
  freeKey,
  freshText,
  model,
  question,
  rankMistakes,
  ranksOf,
  type Running,
  tooMuch,
} from "./truth.ts";

export function describeCohere(running: Running): void {
  function options(token = running().operatorKey) {
    return { token, environment: running().url };
  }

  describe("cohere-ai", () => {
    it("ranks documents, by either version", async () => {
      const expected = await ranksOf(running());
      const v2 = await new CohereClientV2(options()).rerank({ model, ...question });
      const documents = question.documents.map((text) => ({ text }));
      const asked = { model, query: question.query, documents, topN: 2, returnDocuments: true };
      const v1 = await new CohereClient(options()).rerank(asked);
      const ranks = expected.map(({ index, relevance_score: relevanceScore }) => ({
        index,
        relevanceScore,
      }));
      expect(v2.results).toEqual(ranks);
      expect(v1.results).toEqual(
        ranks.slice(0, 2).map((rank) => ({ ...rank, document: documents[rank.index] })),
      );
      expect(v2.meta?.tokens?.inputTokens).toBeGreaterThan(0);
    });

    it.each(rankMistakes)(
      "gets an error of its own class: $what",
      async ({ name, query, status, says }) => {
        const client = new CohereClientV2(options());
        const asked = client.rerank({ ...question, model: name, query });
        const error = await asked.catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(CohereError);
        expect(error).toMatchObject({
          statusCode: status,
          body: { message: expect.stringMatching(says) },
        });
      },
    );

    it("waits for its turn, and not for the next day", async () => {
      const free = new CohereClientV2(options(freeKey));
      const asked = [freshText(), freshText()].map((text) =>
        free.rerank({ model, query: "a", documents: [text] }),
      );
      expect(await Promise.all(asked)).toHaveLength(2);
      const startedAt = performance.now();
      const refused = free.rerank({ model, query: "a", documents: tooMuch }, { maxRetries: 1 });
      await expect(refused).rejects.toMatchObject({ statusCode: 429 });
      // Of a retry-after it would wait through as much as a minute.
      expect(performance.now() - startedAt).toBeLessThan(10_000);
    });
  });
}
