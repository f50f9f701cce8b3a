/**
 * Hugging Face's own client, unmodified, on the edge alone: it sends what we take, and takes what we answer, of every
 * task it has.
 */
import { InferenceClient } from "@huggingface/inference";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { call } from "../caller.ts";
import { allRounder, announce, install, messages, similarities } from "../stand-in-worker.ts";
import { outputOf, vector } from "../task-samples.ts";

beforeEach(async () => {
  install();
  await announce([allRounder]);
});
afterEach(() => vi.unstubAllGlobals());

/** The client's `fetch`, answered by the edge. */
async function edgeFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const request = new Request(input, init);
  const { pathname } = new URL(request.url);
  const headers = { "cache-control": "no-store" };
  return call(pathname, await request.text(), { operator: true, headers });
}

function clientOf(task: string) {
  const client = new InferenceClient(undefined, { fetch: edgeFetch });
  return client.endpoint(`https://edge.test/hf/models/${allRounder.id}/pipeline/${task}`);
}

it("classifies", async () => {
  const parameters = { top_k: 2, function_to_apply: "sigmoid" } as const;
  const labels = await clientOf("text-classification").textClassification({
    inputs: "a",
    parameters,
  });
  expect(labels).toEqual(outputOf("text-classification"));
  expect(messages).toMatchObject([{ task: "text-classification", parameters }]);
});

it("finds entities", async () => {
  const parameters = { aggregation_strategy: "first" as const, ignore_labels: ["O"], stride: 4 };
  const client = clientOf("token-classification");
  const found = await client.tokenClassification({ inputs: "a", parameters });
  expect(found).toEqual(outputOf("token-classification"));
  expect(messages).toMatchObject([{ task: "token-classification", parameters }]);
});

it("answers questions", async () => {
  const inputs = { question: "a?", context: "b" };
  const answer = await clientOf("question-answering").questionAnswering({
    inputs,
    parameters: { doc_stride: 8 },
  });
  expect(answer).toEqual(outputOf("question-answering"));
  expect(messages).toMatchObject([{ inputs: [inputs], parameters: { doc_stride: 8 } }]);
});

it("classifies without examples", async () => {
  const parameters = { candidate_labels: ["a", "b"], multi_label: true };
  const labels = await clientOf("zero-shot-classification").zeroShotClassification({
    inputs: "a",
    parameters,
  });
  expect(labels).toEqual(outputOf("zero-shot-classification"));
  expect(messages).toMatchObject([{ task: "zero-shot-classification", parameters }]);
});

it("fills masks", async () => {
  const filled = await clientOf("fill-mask").fillMask({ inputs: "a [MASK]" });
  expect(filled).toEqual(outputOf("fill-mask"));
});

it("extracts features of one text and of several", async () => {
  const client = clientOf("feature-extraction");
  expect(await client.featureExtraction({ inputs: "a", normalize: true })).toEqual([
    vector.numbers,
  ]);
  const several = await client.featureExtraction({ inputs: ["a", "b"] });
  expect(several).toEqual([vector.numbers, vector.numbers]);
});

it("compares sentences", async () => {
  const inputs = { source_sentence: "a", sentences: ["b", "c"] };
  const scores = await clientOf("sentence-similarity").sentenceSimilarity({ inputs });
  expect(scores).toEqual(similarities);
});

it("shows what was wrong in our words, at once", async () => {
  const asked = clientOf("fill-mask").fillMask({ inputs: "" });
  await expect(asked).rejects.toThrow(/inputs is empty/);
});
