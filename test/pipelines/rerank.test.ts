/** Documents ranked by a cross-encoder and by similarity, against scores worked out by hand. */
import { describe, expect, it } from "vitest";
import type { TaskInput, TaskParameters } from "../../contract/tasks.ts";
import { TaskRunner, cpuBatchPolicy } from "../../gpu-worker/jobs/task-runner.ts";
import type { EncoderModel } from "../../gpu-worker/model/encoder-model.ts";
import { rerank } from "../../gpu-worker/pipelines/rerank.ts";
import { toyClassifier, toyHead } from "./toy-classifier.ts";
import { type ToyRow, toyEncoder } from "./toy-encoder.ts";
import { cosine, cosinesTo, sigmoid, sum, vectorOf } from "./toy-oracle.ts";

const signal = new AbortController().signal;
const makeRunner = () => new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });

function ask(
  model: EncoderModel,
  inputs: TaskInput<"rerank">[],
  parameters: TaskParameters<"rerank"> = {},
  runner = makeRunner(),
) {
  const request = { task: "rerank", inputs, parameters } as const;
  return runner.run(rerank, request, model, { signal });
}

type Ranked = { index: number; score: number };

function expectRanked(found: Ranked[] | undefined, ...wanted: [index: number, score: number][]) {
  expect(found?.map(({ index }) => index)).toEqual(wanted.map(([index]) => index));
  for (const [at, [, score]] of wanted.entries()) {
    expect(found?.[at]?.score).toBeCloseTo(score, 5);
  }
}

/** A tenth of: the document's sum less the query's. */
function relevance({ ids, types }: ToyRow): number[] {
  const part = (wanted: number) =>
    sum(ids.filter((id, at) => id > 2 && (types[at] ?? 0) === wanted));
  return [(part(1) - part(0)) / 10];
}

const crossEncoder = () => toyClassifier(["relevance"], { logits: relevance });

describe("rerank by a cross-encoder", () => {
  const input = { query: "10 10", texts: ["15", "30 4", "20", "20"] };

  it("scores the documents by the sigmoid of their logits, the best first, ties as they came", async () => {
    const answer = await ask(crossEncoder(), [input]);
    const scores = [1.4, 0, 0, -0.5].map(sigmoid);
    const [best = 0, middle = 0, , worst = 0] = scores;
    expectRanked(answer.outputs[0], [1, best], [2, middle], [3, middle], [0, worst]);
    expect(answer.outputs[0]?.[0]).not.toHaveProperty("text");
    expect(answer.method).toBe("cross-encoder");
    // 1 10 10 2 15 2, one number more in the second.
    expect(answer.usage).toEqual({ promptTokens: 6 + 7 + 6 + 6 });
    expect(answer.warnings).toEqual([]);
  });

  it("gives logits where raw scores are wanted, and texts where those are", async () => {
    const answer = await ask(crossEncoder(), [input], { raw_scores: true, return_text: true });
    expectRanked(answer.outputs[0], [1, 1.4], [2, 0], [3, 0], [0, -0.5]);
    expect(answer.outputs[0]).toMatchObject([
      { text: "30 4" },
      { text: "20" },
      { text: "20" },
      { text: "15" },
    ]);
  });

  it("keeps apart the documents of several queries", async () => {
    const answer = await ask(
      crossEncoder(),
      [input, { query: "30", texts: ["40", "50"] }, { query: "5", texts: ["5"] }],
      { raw_scores: true },
    );
    expectRanked(answer.outputs[1], [1, 2], [0, 1]);
    expectRanked(answer.outputs[2], [0, 0]);
  });

  it("ranks by a head beside the graph alike", async () => {
    const linear = toyHead("mean", [[0.01, 0]]);
    const model = toyClassifier(["relevance"], { linear });
    const answer = await ask(model, [input], { raw_scores: true });
    expect(answer.method).toBe("cross-encoder");
    // Sums of 1 10 10 2 … 2.
    expectRanked(answer.outputs[0], [1, 0.59], [2, 0.45], [3, 0.45], [0, 0.4]);
  });

  it("cuts the document alone, at the wanted end", async () => {
    // 16 less 3 special tokens and 2 of the query leave 11.
    const numbers = Array.from({ length: 13 }, (_, at) => at + 10);
    const inputs = [{ query: "10 10", texts: ["15", numbers.join(" ")] }];
    await expect(ask(crossEncoder(), inputs)).rejects.toMatchObject({
      code: "context_length_exceeded",
      param: "inputs[0].texts[1]",
      message: expect.stringMatching(/inputs\[0\]\.query.*18 tokens.*16.*truncate/),
    });
    const parameters = { truncate: true, raw_scores: true } as const;
    const right = await ask(crossEncoder(), inputs, parameters);
    expectRanked(right.outputs[0], [1, (sum(numbers.slice(0, 11)) - 20) / 10], [0, -0.5]);
    expect(right.warnings).toEqual(["truncated: 1 of 2 texts were cut to 16 tokens"]);
    expect(right.usage).toEqual({ promptTokens: 6 + 16, truncatedInputs: 1 });
    const left = await ask(crossEncoder(), inputs, { ...parameters, truncation_direction: "left" });
    expectRanked(left.outputs[0], [1, (sum(numbers.slice(-11)) - 20) / 10], [0, -0.5]);
  });

  it.each([
    ["right", [15, 16]],
    ["left", [17, 18]],
  ] as const)("reads no more of a document than is asked for, from the %s", async (end, read) => {
    const inputs = [{ query: "10 10", texts: ["15 16 17 18", "19 20"] }];
    const parameters = { raw_scores: true, max_tokens_per_doc: 2, truncation_direction: end };
    const answer = await ask(crossEncoder(), inputs, parameters);
    expectRanked(answer.outputs[0], [1, 1.9], [0, (sum([...read]) - 20) / 10]);
    expect(answer.warnings).toEqual(["truncated: 1 of 2 texts were cut to 2 tokens"]);
    expect(answer.usage).toEqual({ promptTokens: 7 + 7, truncatedInputs: 1 });
  });

  it("refuses a query that leaves no room for a document, even where those may be cut", async () => {
    const inputs = [{ query: "3 ".repeat(13), texts: ["15"] }];
    await expect(ask(crossEncoder(), inputs, { truncate: true })).rejects.toMatchObject({
      code: "context_length_exceeded",
      param: "inputs[0].query",
      message: expect.stringMatching(/13 tokens.*16/),
    });
    const fits = [{ query: "3 ".repeat(12), texts: ["15 16"] }];
    const answer = await ask(crossEncoder(), fits, { truncate: true, raw_scores: true });
    expectRanked(answer.outputs[0], [0, (15 - 36) / 10]);
  });
});

const plain = (): EncoderModel => ({
  ...toyEncoder(),
  sentence: { pooling: "mean", normalize: true, prompts: {} },
});

/** In the space where 100 is taken from each first feature. */
const shifted = (text: string) => [(vectorOf(text)[0] ?? 0) - 100, 3];

describe("rerank by similarity", () => {
  const texts = ["200", "4", "60 9"];

  it("scores documents by their cosine with the query", async () => {
    const answer = await ask(plain(), [{ query: "3", texts }], { return_text: true });
    const [a = 0, b = 0, c = 0] = cosinesTo("3", texts);
    expectRanked(answer.outputs[0], [1, b], [2, c], [0, a]);
    expect(answer.outputs[0]?.[0]?.text).toBe("4");
    expect(answer.method).toBe("similarity");
    expect(answer.usage).toEqual({ promptTokens: 3 + 3 + 3 + 4 });
  });

  it("reads no more of a document than is asked for", async () => {
    const inputs = [{ query: "3", texts: ["60 9 200 200", "4"] }];
    const answer = await ask(plain(), inputs, { max_tokens_per_doc: 2 });
    const [cut = 0, whole = 0] = cosinesTo("3", ["60 9", "4"]);
    expectRanked(answer.outputs[0], [1, whole], [0, cut]);
    expect(answer.warnings).toEqual(["truncated: 1 of 3 texts were cut to 2 tokens"]);
    expect(answer.usage).toEqual({ promptTokens: 3 + 4 + 3, truncatedInputs: 1 });
  });

  it("scores a negative cosine 0, keeps its rank, and shows it raw", async () => {
    const model = toyEncoder();
    const session: EncoderModel["session"] = {
      ...model.session,
      run: async (feeds, options) => {
        const { pooled } = await model.session.run(feeds, { ...options, outputs: ["pooled"] });
        if (pooled?.dtype !== "float32") throw new Error("pooled is f32");
        const [rows = 0] = pooled.shape;
        const data = pooled.data.map((value, at) => (at % 2 === 0 ? value - 100 : value));
        return { sentence_embedding: { dtype: "float32", shape: [rows, 2], data } };
      },
    };
    const input = { query: "500", texts: ["5", "90", "600"] };
    const opposite = { ...plain(), session };
    const raw = await ask(opposite, [input], { raw_scores: true });
    const scored = await ask(opposite, [input]);
    const [a = 0, b = 0, c = 0] = input.texts.map((text) => cosine(shifted("500"), shifted(text)));
    expect([a < b, b < 0]).toEqual([true, true]);
    expectRanked(raw.outputs[0], [2, c], [1, b], [0, a]);
    expectRanked(scored.outputs[0], [2, c], [1, 0], [0, 0]);
  });

  it("puts the model's prompts for queries and documents before them", async () => {
    const prompts = { query: "7 8 ", passage: "50 ", other: "900 " };
    const model: EncoderModel = {
      ...toyEncoder(),
      sentence: { pooling: "mean", normalize: true, prompts },
    };
    const answer = await ask(model, [{ query: "3", texts: ["4", "300"] }]);
    const [a = 0, b = 0] = cosinesTo("7 8 3", ["50 4", "50 300"]);
    expectRanked(answer.outputs[0], [0, a], [1, b]);
  });

  it("names the query or document that is too long", async () => {
    const long = "3 ".repeat(20);
    const parameters = { truncate: true };
    const inputs = [{ query: long, texts: ["4"] }];
    await expect(ask(plain(), inputs, parameters)).rejects.toMatchObject({
      code: "context_length_exceeded",
      param: "inputs[0].query",
      // Queries are never cut.
      message: expect.not.stringContaining("truncate"),
    });
    await expect(ask(plain(), [{ query: "3", texts: ["4", long] }])).rejects.toMatchObject({
      param: "inputs[0].texts[1]",
    });
    const cut = await ask(plain(), [{ query: "3", texts: ["4", long] }], parameters);
    expect(cut.usage.truncatedInputs).toBe(1);
  });

  it("refuses a model that can do neither", async () => {
    const model = toyClassifier(["positive", "negative"]);
    await expect(ask(model, [{ query: "3", texts: ["4"] }])).rejects.toMatchObject({
      code: "invalid_value",
      param: "model",
      message: expect.stringContaining("cross-encoder"),
    });
  });

  it("answers requests side by side as each alone", async () => {
    const runner = makeRunner();
    const model = plain();
    const inputs = Array.from({ length: 30 }, (_, at) => ({
      query: `${at + 3} 5`,
      texts: Array.from({ length: 1 + (at % 7) }, (_text, index) =>
        `${at * index} `.repeat(index + 1),
      ),
    }));
    const together = await Promise.all(inputs.map((input) => ask(model, [input], {}, runner)));
    for (const [at, input] of inputs.entries()) {
      expect(together[at]).toEqual(await ask(plain(), [input]));
    }
    const all = await ask(plain(), inputs);
    expect(all.outputs).toEqual(together.map(({ outputs: [output] }) => output));
  });
});
