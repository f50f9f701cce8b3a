/** Vercel's `ai` with its providers, unmodified. */
import { createCohere } from "@ai-sdk/cohere";
import { rerank } from "ai";
import { describe, expect, it } from "vitest";
import type { Running } from "./truth.ts";

export function describeAiSdk(running: Running): void {
  describe("@ai-sdk/cohere", () => {
    it("ranks documents", async () => {
      const cohere = createCohere({
        apiKey: running().operatorKey,
        baseURL: `${running().url}/v2`,
      });
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
}
