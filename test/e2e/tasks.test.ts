/**
 * Every encoder task through Hugging Face's own client, unmodified, against the whole running stack. Where no real
 * model of a task is here, MiniLM has a made-up head on top: what such a model says means nothing, so its form is
 * checked.
 */
import { InferenceClient } from "@huggingface/inference";
import { beforeAll, describe, expect, it } from "vitest";
import { type SharedStack, sharedStack } from "./shared-stack.ts";

const encoder = "all-MiniLM-L6-v2";
let stack: SharedStack;

beforeAll(async () => {
  stack = await sharedStack("encoders");
});

function endpoint(model: string) {
  return new InferenceClient(stack.operatorKey).endpoint(`${stack.url}/hf/models/${model}`);
}

async function post(address: string, body: unknown): Promise<Response> {
  return fetch(`${stack.url}${address}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${stack.operatorKey}`,
    },
    body: JSON.stringify(body),
  });
}

/** The answer to a call that succeeds. */
async function answerOf(address: string, body: unknown) {
  const response = await post(address, body);
  const answer = await response.json();
  expect(response.status, JSON.stringify(answer)).toBe(200);
  return { answer: answer as never, headers: response.headers };
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);
const scoresOf = (labels: readonly { score: number }[]) => labels.map(({ score }) => score);

function expectSorted(labels: readonly { score: number }[]): void {
  const scores = scoresOf(labels);
  expect(scores).toEqual(scores.toSorted((a, b) => b - a));
}

/** Astral, combining, right to left, without spaces. */
const multilingual = "😀 Émilie Dùpont 在北京 met שרה in Köln 👩‍👩‍👧";

describe("@huggingface/inference", () => {
  it.each([
    ["sentiment-en", "An absolute delight from the first minute to the last.", "positive"],
    ["sentiment-en", "Two hours of tedium that nobody should have to sit through.", "negative"],
    ["topic-en", "The striker scored twice as the home team won the cup final.", "Sports"],
    ["intent-banking", "I lost my card yesterday, please block it.", "lost_or_stolen_card"],
  ])("classifies texts: %s, %s", async (model, inputs, label) => {
    const labels = await endpoint(model).textClassification({ inputs });
    expect(labels[0]?.label).toBe(label);
    expectSorted(labels);
    expect(sum(scoresOf(labels))).toBeCloseTo(1, 4);
  });

  it("finds entities with what ships", async () => {
    const inputs = "Angela Merkel met Emmanuel Macron in Paris.";
    const parameters = { aggregation_strategy: "first" } as const;
    const found = await endpoint("ner-en").tokenClassification({ inputs, parameters });
    expect(found.map(({ word, entity_group: group }) => `${word} ${group}`)).toEqual([
      "Angela Merkel PER",
      "Emmanuel Macron PER",
      "Paris LOC",
    ]);
  });

  it("finds entities, whose offsets select the word", async () => {
    const found = await endpoint("minilm-entities").tokenClassification({
      inputs: multilingual,
      parameters: { ignore_labels: [] },
    });
    expect(found.length).toBeGreaterThan(0);
    for (const { word, start, end, entity_group: group } of found) {
      expect([...multilingual].slice(start, end).join("")).toBe(word);
      expect(["O", "PER", "LOC"]).toContain(group);
    }
  });

  it("answers questions by a part of the context", async () => {
    const context = `${multilingual}. ${"The bridge was finished in 1932. ".repeat(80)}`;
    const inputs = { question: "When was the bridge finished?", context };
    const answer = await endpoint("minilm-answers").questionAnswering({ inputs });
    expect([...context].slice(answer.start, answer.end).join("")).toBe(answer.answer);
    expect(answer.score).toBeGreaterThan(0);
  });

  it.each([encoder, "minilm-entailment"])("classifies without examples: %s", async (model) => {
    const found = await endpoint(model).zeroShotClassification({
      inputs: "The striker scored twice and the cup went home with them.",
      parameters: { candidate_labels: ["cooking", "football", "tax law"] },
    });
    expect(found).toHaveLength(3);
    expect(sum(scoresOf(found))).toBeCloseTo(1, 4);
    if (model === encoder) expect(found[0]?.label).toBe("football");
  });

  it("extracts features and compares sentences", async () => {
    const vectors = (await endpoint(encoder).featureExtraction({
      inputs: ["a", "b"],
    })) as number[][];
    expect(vectors.map((vector) => vector.length)).toEqual([384, 384]);
    const scores = await endpoint(encoder).sentenceSimilarity({
      inputs: { source_sentence: "a small cat", sentences: ["a kitten", "corporate tax law"] },
    });
    expect(scores[0]).toBeGreaterThan(scores[1] ?? 1);
  });

  it("fills masks", async () => {
    const inputs = "The capital of France is [MASK].";
    const filled = await endpoint("minilm-mask").fillMask({ inputs, parameters: { top_k: 3 } });
    expect(filled).toHaveLength(3);
    expectSorted(filled);
    for (const { sequence, token_str: word } of filled) {
      expect(sequence).toContain((word ?? "").replace(/^##/, ""));
    }
  });

  it("gets an error it understands, at once", async () => {
    const asked = endpoint("minilm-mask").fillMask({ inputs: "nothing is masked here" });
    await expect(asked).rejects.toThrow(/\[MASK\]/);
  });
});

describe("tasks that Hugging Face's client does not know", () => {
  const animals = [
    "the cat sleeps",
    "a dog barks",
    "my hamster runs",
    "the horse is in the stable",
  ];
  const numbers = [
    "two and two is four",
    "seven times nine",
    "a third of twelve",
    "the sum is odd",
  ];
  const examples = [
    ...animals.map((text) => ({ text, label: "animals" })),
    ...numbers.map((text) => ({ text, label: "numbers" })),
  ];

  it("classifies by examples", async () => {
    const inputs = ["a cow on the meadow", "eleven minus three"];
    const { answer } = await answerOf(`/hf/models/${encoder}`, {
      inputs,
      parameters: { examples },
    });
    const best = (answer as { label: string }[][]).map(([first]) => first?.label);
    expect(best).toEqual(["animals", "numbers"]);
  });

  it("relates marked spans, and all pairs of the entities found", async () => {
    const address = "/hf/models/minilm-relations/pipeline/relation-extraction";
    const inputs = "The <e1>storm</e1> caused the <e2>flood</e2> 😀.";
    const { answer: marked } = await answerOf(address, { inputs });
    const [labels = []] = marked as { label: string; score: number }[][];
    expect(labels).toHaveLength(3);
    expectSorted(labels);
    const { answer: pairs } = await answerOf(address, { inputs: multilingual });
    type Part = { word: string; start: number; end: number };
    for (const { head, tail } of pairs as { head: Part; tail: Part }[]) {
      for (const { word, start, end } of [head, tail]) {
        expect([...multilingual].slice(start, end).join("")).toBe(word);
      }
    }
  });

  const query = "How do I reset my password?";
  const documents = [
    "Our offices are closed on Sundays.",
    "Choose “Forgot password” to set a new one.",
    "Bananas are rich in potassium.",
  ];

  it("reranks in Cohere's and Jina's form", async () => {
    const body = { model: encoder, query, documents, top_n: 2, return_documents: true };
    const { answer, headers } = await answerOf("/v1/rerank", body);
    const { results } = answer as { results: { index: number; relevance_score: number }[] };
    expect(results).toHaveLength(2);
    expect(results[0]).toMatchObject({ index: 1, document: { text: documents[1] } });
    expect(headers.get("x-method")).toBe("similarity");
  });

  it("reranks in TEI's form", async () => {
    const { answer } = await answerOf("/rerank", { query, texts: documents, return_text: true });
    expect(answer).toHaveLength(3);
    expect(answer[0]).toMatchObject({ index: 1, text: documents[1] });
  });

  it("reranks by a cross-encoder", async () => {
    const body = { model: "minilm-cross-encoder", query, documents };
    const { answer, headers } = await answerOf("/v1/rerank", body);
    const { results } = answer as { results: { relevance_score: number }[] };
    expect(results).toHaveLength(3);
    expect(headers.get("x-method")).toBe("cross-encoder");
  });

  it("splits a text into tokens and puts them together again", async () => {
    const input = "Hello wonderful world";
    const { answer } = await answerOf("/v1/tokenize", { model: encoder, input });
    const { tokens, count, offsets } = answer as {
      tokens: number[];
      count: number;
      offsets: [number, number][];
    };
    expect(tokens).toHaveLength(count);
    const words = offsets.map(([start, end]) => input.slice(start, end)).filter(Boolean);
    expect(words).toEqual(["Hello", "wonderful", "world"]);
    const { answer: back } = await answerOf("/v1/detokenize", { model: encoder, tokens });
    expect(back).toEqual({ text: "hello wonderful world" });
  });
});

describe("the native route", () => {
  it("takes a batch and answers each input as Hugging Face's route would", async () => {
    const inputs = ["A delight.", "A disaster."];
    const { answer } = await answerOf("/v1/tasks/text-classification", {
      model: "sentiment-en",
      inputs,
      parameters: { top_k: 1 },
    });
    const { data, usage } = answer as { data: { label: string }[][]; usage: object };
    expect(data.map(([first]) => first?.label)).toEqual(["positive", "negative"]);
    expect(usage).toMatchObject({ prompt_tokens: expect.any(Number) });
  });

  it("refuses a text that is too long with limit and length, and cuts it where that is asked for", async () => {
    const body = { model: encoder, inputs: ["word ".repeat(1_000)] };
    const refused = await post("/v1/tasks/feature-extraction", body);
    expect(refused.status).toBe(400);
    const { error } = (await refused.json()) as { error: { code: string; message: string } };
    expect(error.code).toBe("context_length_exceeded");
    expect(error.message).toMatch(/1002 tokens.*256/s);
    const cut = await post("/v1/tasks/feature-extraction", {
      ...body,
      parameters: { truncate: true },
    });
    expect(cut.headers.get("x-warnings")).toMatch(/cut to 256 tokens/);
    expect(await cut.json()).toMatchObject({ usage: { truncated_inputs: 1 } });
  });

  it("tells what is loaded, how large it is and under which licence", async () => {
    const response = await fetch(`${stack.url}/v1/models/topic-en`);
    expect(await response.json()).toMatchObject({
      task: "text-classification",
      loaded: true,
      size_bytes: expect.any(Number),
      limits: { max_tokens: 256 },
    });
  });
});
