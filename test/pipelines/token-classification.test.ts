/** Entities against the examples of transformers' own tests, and offsets against what they select. */
import { describe, expect, it } from "vitest";
import type { TaskParameters } from "../../contract/tasks.ts";
import type { ModelHead } from "../../gpu-worker/model/model-head.ts";
import { tokenClassification } from "../../gpu-worker/pipelines/token-classification.ts";
import { loadTokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import { noise, textsInManyScripts, tokenizerFolders } from "./texts-in-many-scripts.ts";
import { type ToyModel, toyContext, toyModel, toyTokenizer } from "./toy-tagger.ts";

type Parameters = TaskParameters<"token-classification">;

const conll = ["O", "B-MISC", "I-MISC", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"];

function tokenHead(labels: string[]): ModelHead {
  return { name: "token-classification", labels, problem: "single_label", linear: null };
}

/** A row of scores: what is not said is the first class's. */
function scores(said: Record<string, number>): number[] {
  const rest = 1 - Object.values(said).reduce((a, b) => a + b, 0);
  return conll.map((label) => said[label] ?? (label === "O" ? Math.max(0, rest) : 0));
}

/** Tags tokens by their text; the logits are the logarithms of the scores. */
function tagger(byToken: Record<string, Record<string, number>>, maxTokens = 16): ToyModel {
  const tokenizer = toyTokenizer();
  return toyModel({
    tokenizer,
    maxTokens,
    head: tokenHead(conll),
    outputs: ({ ids }) => ({
      logits: ids.map((id) => scores(byToken[tokenizer.textOf(id)] ?? {}).map(Math.log)),
    }),
  });
}

async function find(model: ToyModel, text: string, parameters: Parameters = {}) {
  const request = { task: "token-classification" as const, inputs: [text], parameters };
  const { outputs } = await tokenClassification.answer(request, model, toyContext());
  return outputs[0] ?? [];
}

const brief = (found: Awaited<ReturnType<typeof find>>) =>
  found.map(({ entity_group: group, word, score }) => [group, word, Number(score.toFixed(4))]);

describe("aggregation, as transformers' tests have it", () => {
  // "Ramazotti" as Ram|##azo|##tti, with the scores that transformers gives Ra|##ma|##zotti.
  const ramazotti = {
    Ram: { "B-MISC": 0.55, "B-PER": 0.45 },
    "##azo": { "B-LOC": 0.8, "B-PER": 0.2 },
    "##tti": { "I-ORG": 0.6, "B-PER": 0.4 },
  };

  it.each([
    ["first", [["MISC", "Ramazotti", 0.55]]],
    ["max", [["LOC", "Ramazotti", 0.8]]],
    ["average", [["PER", "Ramazotti", 0.35]]],
    [
      "simple",
      [
        ["MISC", "Ram", 0.55],
        ["LOC", "azo", 0.8],
        ["ORG", "tti", 0.6],
      ],
    ],
  ] as const)("%s makes the tokens of a word agree, or not", async (strategy, expected) => {
    const found = await find(tagger(ramazotti), "Ramazotti", { aggregation_strategy: strategy });
    expect(brief(found)).toEqual(expected);
  });

  it("names each token's own class where nothing is put together", async () => {
    const found = await find(tagger(ramazotti), "Ramazotti", { aggregation_strategy: "none" });
    expect(found).toEqual(
      [
        { entity: "B-MISC", entity_group: "MISC", word: "Ram", start: 0, end: 3, score: 0.55 },
        { entity: "B-LOC", entity_group: "LOC", word: "azo", start: 3, end: 6, score: 0.8 },
        { entity: "I-ORG", entity_group: "ORG", word: "tti", start: 6, end: 9, score: 0.6 },
      ].map((each) => ({ ...each, score: expect.closeTo(each.score, 6) })),
    );
  });

  // "Enzo … UN": the mean of the two tokens' scores, except under first and max.
  it.each([
    ["simple", 0.9963],
    ["average", 0.9963],
    ["first", 0.9968],
    ["max", 0.9968],
  ] as const)("%s scores a word of two tokens", async (strategy, score) => {
    const model = tagger({
      Enz: { "I-PER": 0.9968166351318359 },
      "##o": { "I-PER": 0.9957635998725891 },
      UN: { "I-ORG": 0.9986497163772583 },
    });
    const found = await find(model, "Enzo at the UN", { aggregation_strategy: strategy });
    expect(brief(found)).toEqual([
      ["PER", "Enzo", score],
      ["ORG", "UN", 0.9986],
    ]);
  });

  // The table of transformers' description: (A, B-TAG), (B, I-TAG), (C, I-TAG), (D, B-TAG2), (E, B-TAG2).
  it("begins an entity at B-, at another class, and after what is left out", async () => {
    const model = tagger({
      a: { "B-PER": 1 },
      b: { "I-PER": 1 },
      c: { "I-PER": 1 },
      d: { "B-LOC": 1 },
      e: { "B-LOC": 1 },
      f: { "I-ORG": 1 },
    });
    const words = (await find(model, "a b c d e f x f")).map(({ word }) => word);
    expect(words).toEqual(["a b c", "d", "e", "f", "f"]);
  });

  it("leaves out the classes it is told to, by group or by name", async () => {
    const model = tagger({ a: { "B-PER": 1 }, b: { "B-LOC": 1 } });
    expect(brief(await find(model, "a x b", { ignore_labels: ["PER"] }))).toEqual([
      ["O", "x", 1],
      ["LOC", "b", 1],
    ]);
    const named = await find(model, "a x b", {
      aggregation_strategy: "none",
      ignore_labels: ["O", "B-LOC"],
    });
    expect(named.map(({ word }) => word)).toEqual(["a"]);
  });
});

describe("heads beside the graph", () => {
  it("classifies each token's vector", async () => {
    const tokenizer = toyTokenizer();
    const linear = {
      pooling: "none",
      weight: Float32Array.from([0, 0, 2, 1]),
      bias: Float32Array.from([1, 0]),
    } as const;
    const model = toyModel({
      tokenizer,
      head: { name: "token-classification", labels: ["O", "X"], problem: "single_label", linear },
      outputs: ({ ids }) => ({
        last_hidden_state: ids.map((id) => (tokenizer.textOf(id) === "b" ? [3, -1] : [0, 0])),
      }),
    });
    // Logits of b: 1 and 2·3 − 1 = 5.
    const score = 1 / (1 + Math.exp(1 - 5));
    expect(await find(model, "a b")).toEqual([
      {
        entity: "X",
        entity_group: "X",
        word: "b",
        start: 2,
        end: 3,
        score: expect.closeTo(score, 6),
      },
    ]);
  });

  it("refuses a model of another kind", async () => {
    const model = toyModel({
      tokenizer: toyTokenizer(),
      head: { name: "masked-lm" },
      outputs: () => ({}),
    });
    await expect(find(model, "a")).rejects.toMatchObject({ code: "invalid_value", param: "model" });
  });
});

describe("long texts", () => {
  const long = "x ".repeat(12) + "a b c " + "x ".repeat(12) + "a";
  const byToken = { a: { "B-PER": 0.9 }, b: { "I-PER": 0.9 }, c: { "I-PER": 0.9 } };

  it("are refused with their length, the limit and the way out", async () => {
    await expect(find(tagger(byToken), long)).rejects.toMatchObject({
      code: "context_length_exceeded",
      param: "inputs[0]",
      message: expect.stringMatching(/30 tokens.*at most 16.*stride/s),
    });
  });

  // Windows hold 14 tokens: the first ends after "a b". With one token shared, "b c" is no longer than "a b".
  it.each([
    [0, ["a b", "c", "a"]],
    [1, ["a b", "a"]],
    [2, ["a b c", "a"]],
    [5, ["a b c", "a"]],
    [7, ["a b c", "a"]],
  ])("are read by windows, stride %i", async (stride, expected) => {
    const model = tagger(byToken);
    const found = await find(model, long, { stride });
    expect(found.map(({ word }) => word)).toEqual(expected);
    expect(model.rows[0]?.ids).toHaveLength(16);
    expect(model.rows).toHaveLength(1 + Math.ceil((28 - 14) / (14 - stride)));
  });

  it("keep the longer of two entities that overlap, else the surer", async () => {
    // The first window sees b alone as the end of "a b", the second begins with it.
    const tokenizer = toyTokenizer();
    const model = toyModel({
      tokenizer,
      maxTokens: 6,
      head: tokenHead(conll),
      outputs: ({ ids }) => ({
        logits: ids.map((id, at) => {
          const token = tokenizer.textOf(id);
          if (token === "a") return scores({ "B-PER": 0.6 }).map(Math.log);
          if (token === "b" && at > 1) return scores({ "I-PER": 0.6 }).map(Math.log);
          if (token === "b") return scores({ "B-LOC": 0.9 }).map(Math.log);
          if (token === "d") return scores({ "B-ORG": at === 1 ? 0.7 : 0.8 }).map(Math.log);
          return scores({}).map(Math.log);
        }),
      }),
    });
    expect(brief(await find(model, "x x a b x x d x x", { stride: 1 }))).toEqual([
      ["PER", "a b", 0.6],
      ["ORG", "d", 0.8],
    ]);
  });

  it.each([8, 14, 10_000])(
    "share at most half a window where stride is %i, and say so",
    async (stride) => {
      const model = tagger(byToken);
      const { warnings, usage } = await tokenClassification.answer(
        { task: "token-classification", inputs: [long], parameters: { stride } },
        model,
        toyContext(),
      );
      expect(model.rows).toHaveLength(1 + Math.ceil((28 - 14) / (14 - 7)));
      expect(usage.promptTokens).toBeLessThanOrEqual(2 * 28 + 2 * model.rows.length);
      expect(warnings).toEqual([
        `stride: ${stride} was lowered to half of what a window takes of the text`,
      ]);
    },
  );

  it("say nothing of a stride that nothing came of", async () => {
    const { warnings } = await tokenClassification.answer(
      { task: "token-classification", inputs: ["a b"], parameters: { stride: 10_000 } },
      tagger(byToken),
      toyContext(),
    );
    expect(warnings).toEqual([]);
  });

  it("are refused where they are too many", async () => {
    const endless = "a ".repeat(150_000);
    await expect(find(tagger(byToken), endless, { stride: 13 })).rejects.toMatchObject({
      code: "context_length_exceeded",
      message: expect.stringMatching(/300000/),
    });
  });

  it("are no text at all where they are white space", async () => {
    expect(await find(tagger(byToken), "  \n ")).toEqual([]);
  });
});

describe("offsets", () => {
  it("count code points, or UTF-16 units, and hold the marks the tokenizer left out", async () => {
    const model = tagger({ Emi: { "B-PER": 1 }, "##le": { "I-PER": 1 } });
    const text = "😀 E\u0301mile\u0301\u0323 👍";
    const [point] = await find(model, text);
    expect(point).toMatchObject({ word: "E\u0301mile\u0301\u0323", start: 2, end: 10 });
    const [unit] = await find(model, text, { offset_unit: "utf-16" });
    expect(unit).toMatchObject({ word: "E\u0301mile\u0301\u0323", start: 3, end: 11 });
  });

  it.each(tokenizerFolders)("select the word in texts of many scripts: %s", async (_, folder) => {
    const tokenizer = await loadTokenizer(folder);
    const labels = ["O", "B-A", "I-A", "I-B"];
    const model = toyModel({
      tokenizer,
      maxTokens: 24,
      head: tokenHead(labels),
      outputs: ({ ids }) => ({
        logits: ids.map((id, at) => labels.map((_label, label) => noise(id, at, label))),
      }),
    });
    const strategies = ["none", "simple", "first", "average", "max"] as const;
    let words = 0;
    for (const [index, text] of [...textsInManyScripts(150, 60)].entries()) {
      const parameters = {
        stride: 5,
        ignore_labels: index % 2 === 0 ? [] : ["O"],
        aggregation_strategy: strategies[index % 5] ?? "none",
      };
      const inPoints = await find(model, text, parameters);
      const inUnits = await find(model, text, { ...parameters, offset_unit: "utf-16" });
      expect(inPoints.map(({ word }) => word)).toEqual(inUnits.map(({ word }) => word));
      let last = 0;
      for (const [at, { word, start, end }] of inPoints.entries()) {
        expect([...text].slice(start, end).join("")).toBe(word);
        const unit = inUnits[at];
        expect(text.slice(unit?.start, unit?.end)).toBe(word);
        expect(word.trim()).toBe(word);
        expect(word).not.toBe("");
        expect(start).toBeGreaterThanOrEqual(last);
        last = start;
      }
      words += inPoints.length;
    }
    expect(words).toBeGreaterThan(500);
  });
});
