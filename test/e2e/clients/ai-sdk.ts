/** Vercel's `ai` with its providers, unmodified. */
import { createCohere } from "@ai-sdk/cohere";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embed, embedMany, rerank } from "ai";
import { describe, expect, it, vi } from "vitest";
import type { RunningStack } from "../../../infra/local/start-stack.ts";
import {
  countedFetch,
  expectSame,
  freeKey,
  freshText,
  mistakes,
  model,
  question,
  rankMistakes,
  ranksOf,
  type Running,
  tooMuch,
  vectorsOf,
} from "./truth.ts";

type Settings = { apiKey: string; baseURL: string; fetch: typeof fetch };

const providers = [
  { name: "@ai-sdk/openai", create: (settings: Settings) => createOpenAI(settings) },
  {
    name: "@ai-sdk/openai-compatible",
    create: (settings: Settings) => createOpenAICompatible({ ...settings, name: "llm-os" }),
  },
];

function ranker({ operatorKey, url }: RunningStack, name = model) {
  return createCohere({ apiKey: operatorKey, baseURL: `${url}/v2` }).reranking(name);
}

export function describeAiSdk(running: Running): void {
  describe.each(providers)("$name", ({ create }) => {
    function encoder({ name = model, apiKey = running().operatorKey } = {}) {
      const { sent, fetch } = countedFetch();
      const provider = create({ apiKey, baseURL: `${running().url}/v1`, fetch });
      return { sent, model: provider.embeddingModel(name) };
    }

    it("embeds one text, and more than a request holds", async () => {
      const short = ["a cat", "a kitten", "tax law"];
      const expected = await vectorsOf(running(), short);
      const { sent, model: asked } = encoder();
      const one = await embed({ model: asked, value: "a cat" });
      expectSame([one.embedding], expected.slice(0, 1));
      // 2 048 a request, here as with OpenAI.
      const values = Array.from({ length: 2_050 }, (_, at) => short[at % 3] ?? "");
      const { embeddings, usage } = await embedMany({ model: asked, values });
      expect(sent.count).toBe(3);
      expect(usage.tokens).toBeGreaterThan(values.length);
      expectSame(
        embeddings,
        values.map((_, at) => expected[at % 3] ?? []),
      );
    });

    it.each(mistakes)(
      "shows what is wrong, asked once: $what",
      async ({ name, text: value, key, status: statusCode, says }) => {
        const { sent, model: asked } = encoder({ name, apiKey: key ?? running().operatorKey });
        const error = await embed({ model: asked, value }).catch((reason: unknown) => reason);
        expect(APICallError.isInstance(error)).toBe(true);
        expect(error).toMatchObject({ statusCode, message: expect.stringMatching(says) });
        expect(sent.count).toBe(1);
      },
    );

    it("waits for its turn, and is told that the day is used up", async () => {
      const { sent, model: free } = encoder({ apiKey: freeKey });
      const asked = [freshText(), freshText()].map((value) => embed({ model: free, value }));
      expect(await Promise.all(asked)).toHaveLength(2);
      expect(sent.count).toBe(3);
      const refused = embedMany({ model: free, values: tooMuch, maxRetries: 0 });
      await expect(refused).rejects.toMatchObject({
        statusCode: 429,
        message: expect.stringContaining("tokens a day"),
      });
    });
  });

  describe("@ai-sdk/cohere", () => {
    it("ranks documents", async () => {
      const { ranking, rerankedDocuments } = await rerank({
        model: ranker(running()),
        ...question,
        topN: 2,
        providerOptions: { cohere: { maxTokensPerDoc: 100 } },
      });
      const best = (await ranksOf(running())).slice(0, 2);
      expect(rerankedDocuments).toEqual(best.map(({ index }) => question.documents[index]));
      expect(ranking).toMatchObject(
        best.map(({ index, relevance_score: score }) => ({ originalIndex: index, score })),
      );
    });

    it("ranks objects", async () => {
      // Objects are put into words, of which the client warns.
      vi.stubGlobal("AI_SDK_LOG_WARNINGS", false);
      const documents = question.documents.map((text) => ({ text }));
      const { ranking } = await rerank({
        model: ranker(running()),
        query: question.query,
        documents,
      });
      expect(ranking[0]?.originalIndex).toBe(1);
      vi.unstubAllGlobals();
    });

    it.each(rankMistakes)("shows what is wrong: $what", async ({ name, query, status, says }) => {
      const { documents } = question;
      const asked = rerank({ model: ranker(running(), name), query, documents });
      const error = await asked.catch((reason: unknown) => reason);
      expect(APICallError.isInstance(error)).toBe(true);
      expect(error).toMatchObject({ statusCode: status, message: expect.stringMatching(says) });
    });
  });
}
