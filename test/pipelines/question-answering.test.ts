/** Answers whose logits are written down by hand, against plain sums, and offsets in texts of many scripts. */
import { describe, expect, it } from "vitest";
import type { TaskParameters } from "../../contract/tasks.ts";
import type { Answer } from "../../contract/tasks/question-answering.ts";
import { questionAnswering } from "../../gpu-worker/pipelines/question-answering.ts";
import { loadTokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import { noise, textsInManyScripts, tokenizerFolders } from "./texts-in-many-scripts.ts";
import { type ToyModel, toyContext, toyModel, toyTokenizer } from "./toy-tagger.ts";

type Parameters = TaskParameters<"question-answering">;

/** Start and end logit of tokens by their text; 0 for all others. */
function answerer(byToken: Record<string, [number, number]>, maxTokens = 512): ToyModel {
  const tokenizer = toyTokenizer();
  const logit = (id: number, side: 0 | 1) => byToken[tokenizer.textOf(id)]?.[side] ?? 0;
  return toyModel({
    tokenizer,
    maxTokens,
    head: { name: "question-answering" },
    outputs: ({ ids }) => ({
      start_logits: ids.map((id) => [logit(id, 0)]),
      end_logits: ids.map((id) => [logit(id, 1)]),
    }),
  });
}

async function ask(model: ToyModel, context: string, parameters: Parameters = {}, question = "q") {
  const request = {
    task: "question-answering" as const,
    inputs: [{ question, context }],
    parameters,
  };
  return questionAnswering.answer(request, model, toyContext());
}

async function answersOf(...call: Call): Promise<Answer[]> {
  const { outputs } = await ask(...call);
  return outputs.flat();
}

type Call = [ToyModel, string, Parameters?, string?];

const e = Math.exp;

/** The denominator of a softmax over these and a logit of 0. */
const total = (logits: Record<string, number>) =>
  Object.values(logits).reduce((sum, logit) => sum + e(logit), 1);

const filler = (count: number) => "x ".repeat(count);

const noises = (ids: readonly number[], side: number) => ids.map((id, at) => [noise(id, at, side)]);

describe("one window", () => {
  it("scores by softmax over the context and [CLS], start times end", async () => {
    const model = answerer({ b: [2, 0], d: [0, 3], "[CLS]": [1, 1], q: [9, 9] });
    const [answer, ...more] = await answersOf(model, "a b c d");
    // Starts: a 0, b 2, c 0, d 0, [CLS] 1. Ends: a 0, b 0, c 0, d 3, [CLS] 1. The question counts for nothing.
    const score = (e(2) / (3 + e(2) + e(1))) * (e(3) / (3 + e(3) + e(1)));
    expect(more).toEqual([]);
    expect(answer).toEqual({ answer: "b c d", score: expect.closeTo(score, 6), start: 2, end: 7 });
  });

  it("gives the best spans in order, and an array where several are asked for", async () => {
    const model = answerer({ b: [2, 1], d: [1, 3] });
    const starts = { a: 0, b: 2, c: 0, d: 1 };
    const ends = { a: 0, b: 1, c: 0, d: 3 };
    const words = ["a", "b", "c", "d"] as const;
    const all = words.flatMap((first, from) =>
      words.slice(from).map((last, length) => ({
        answer: words.slice(from, from + length + 1).join(" "),
        score: (e(starts[first]) / total(starts)) * (e(ends[last]) / total(ends)),
      })),
    );
    const expected = all
      .toSorted((x, y) => y.score - x.score)
      .slice(0, 4)
      .map(({ answer, score }) => [answer, score.toFixed(6)]);
    const { outputs } = await ask(model, "a b c d", { top_k: 4 });
    expect(outputs[0]).toBeInstanceOf(Array);
    const found = outputs.flat().map(({ answer, score }) => [answer, score.toFixed(6)]);
    expect(found).toEqual(expected);
  });

  it("keeps answers to max_answer_len tokens", async () => {
    const model = answerer({ a: [5, 0], d: [0, 4], b: [0, 1] });
    expect(await answersOf(model, "a b c d")).toMatchObject([{ answer: "a b c d" }]);
    expect(await answersOf(model, "a b c d", { max_answer_len: 3 })).toMatchObject([
      { answer: "a b" },
    ]);
  });

  it("widens answers to whole words unless it is told not to", async () => {
    const model = answerer({ "##dge": [5, 5] });
    expect(await answersOf(model, "the bridge fell")).toMatchObject([
      { answer: "bridge", start: 4, end: 10 },
    ]);
    expect(await answersOf(model, "the bridge fell", { align_to_words: false })).toMatchObject([
      { answer: "dge", start: 7, end: 10 },
    ]);
  });

  it("adds up the scores of answers that read alike", async () => {
    const model = answerer({ bri: [3, 1], "##dge": [2, 3] });
    const parts = await answersOf(model, "a bridge", { top_k: 10, align_to_words: false });
    const bridge = ["bri", "dge", "bridge"].map(
      (word) => parts.find(({ answer }) => answer === word)?.score ?? NaN,
    );
    const whole = await answersOf(model, "a bridge", { top_k: 10 });
    const found = whole.find(({ answer }) => answer === "bridge");
    expect(found?.score).toBeCloseTo(
      bridge.reduce((sum, score) => sum + score, 0),
      6,
    );
  });

  it("says that there is no answer where it may and that is likelier", async () => {
    const model = answerer({ "[CLS]": [4, 4], b: [1, 1] });
    const none = (e(4) / (e(4) + e(1) + 1)) ** 2;
    expect(await answersOf(model, "a b", { handle_impossible_answer: true })).toEqual([
      { answer: "", score: expect.closeTo(none, 6), start: 0, end: 0 },
    ]);
    expect(await answersOf(model, "a b")).toMatchObject([{ answer: "b" }]);
  });
});

describe("long contexts", () => {
  it("are read by windows that overlap, with the question before each", async () => {
    const model = answerer({ b: [9, 9] }, 20);
    const context = `${filler(40)}b ${filler(5)}`;
    const { outputs, usage } = await ask(model, context, { doc_stride: 4 });
    expect(outputs).toMatchObject([{ answer: "b", start: 80, end: 81 }]);
    // A window holds 20 − 3 special tokens − 1 of the question = 16 of the context, and moves on by 12.
    expect(model.rows.map(({ ids }) => ids.length)).toEqual([20, 20, 20, 14]);
    expect(usage).toEqual({ promptTokens: 74 });
    expect(model.rows[3]?.typeIds).toEqual([0, 0, 0, ...Array.from({ length: 11 }, () => 1)]);
  });

  it("give an answer that two windows hold once, with the better score", async () => {
    const tokenizer = toyTokenizer();
    const model = toyModel({
      tokenizer,
      maxTokens: 10,
      head: { name: "question-answering" },
      outputs({ ids }) {
        const logits = ids.map((id, at) => [tokenizer.textOf(id) === "b" ? at : 0]);
        return { start_logits: logits, end_logits: logits };
      },
    });
    const found = await answersOf(model, "x x x x b x x", { doc_stride: 3, top_k: 50 });
    const score = (e(7) / (e(7) + 6)) ** 2;
    expect(found.filter(({ answer }) => answer === "b")).toEqual([
      { answer: "b", score: expect.closeTo(score, 6), start: 8, end: 9 },
    ]);
  });

  it("say how sure the least sure window is that there is no answer", async () => {
    const model = answerer({ "[CLS]": [2, 2], b: [6, 6] }, 10);
    const found = await answersOf(model, `${filler(12)}b`, {
      handle_impossible_answer: true,
      top_k: 100,
    });
    const least = (e(2) / (e(2) + e(6) + 3)) ** 2;
    expect(found.find(({ answer }) => answer === "")?.score).toBeCloseTo(least, 5);
  });

  it.each([9, 20, 10_000])(
    "share at most half a window where doc_stride is %i, and say so",
    async (asked) => {
      const model = answerer({ b: [9, 9] }, 20);
      const context = `${filler(40)}b ${filler(5)}`;
      const { outputs, warnings } = await ask(model, context, { doc_stride: asked });
      expect(outputs).toMatchObject([{ answer: "b", start: 80, end: 81 }]);
      // Of 16 tokens, 8 are shared.
      expect(model.rows).toHaveLength(1 + Math.ceil((46 - 16) / 8));
      expect(warnings).toEqual([
        `doc_stride: ${asked} was lowered to half of what a window takes of the text`,
      ]);
    },
  );

  it("use no window longer than the model, and say so", async () => {
    const model = answerer({ b: [9, 9] }, 20);
    const { warnings } = await ask(model, `${filler(40)}b`, { max_seq_len: 300 });
    expect(warnings).toEqual(["max_seq_len: 300 was lowered to 20, the most that toy reads"]);
    expect(Math.max(...model.rows.map(({ ids }) => ids.length))).toBe(20);
    const short = answerer({ b: [9, 9] }, 20);
    await ask(short, `${filler(40)}b`, { max_seq_len: 12 });
    expect(Math.max(...short.rows.map(({ ids }) => ids.length))).toBe(12);
  });
});

describe("refusals", () => {
  const model = answerer({});

  type Refusal = { code: string; param: string; message: RegExp };
  type Asked = { parameters: Parameters; context: string; question?: string };

  it.each<[string, Asked, Refusal]>([
    [
      "a question that is too long",
      { parameters: {}, context: "a", question: "q ".repeat(65) },
      { code: "context_length_exceeded", param: "inputs[0].question", message: /65 tokens.*64/ },
    ],
    [
      "a question that leaves no room",
      { parameters: { max_seq_len: 8 }, context: "a", question: "q q q q q" },
      { code: "context_length_exceeded", param: "inputs[0].question", message: /5 tokens.*8/ },
    ],
    [
      "more windows than a request may hold",
      {
        parameters: { doc_stride: 15, max_seq_len: 20 },
        context: "a ".repeat(150_000),
        question: "q",
      },
      { code: "context_length_exceeded", param: "inputs", message: /300000/ },
    ],
    [
      "a context of white space",
      { parameters: {}, context: " \n ", question: "q" },
      { code: "invalid_value", param: "inputs[0].context", message: /no words/ },
    ],
  ])("%s", async (_, asked, { message, ...rest }) => {
    const { context, parameters, question } = asked;
    await expect(ask(model, context, parameters, question)).rejects.toMatchObject({
      ...rest,
      message: expect.stringMatching(message),
    });
  });

  it("a model of another kind", async () => {
    const other = toyModel({
      tokenizer: toyTokenizer(),
      head: { name: "none" },
      outputs: () => ({}),
    });
    await expect(ask(other, "a")).rejects.toMatchObject({ code: "invalid_value", param: "model" });
  });
});

describe("offsets", () => {
  it.each(tokenizerFolders)("select the answer in texts of many scripts: %s", async (_, folder) => {
    const tokenizer = await loadTokenizer(folder);
    const model = toyModel({
      tokenizer,
      maxTokens: 30,
      head: { name: "question-answering" },
      outputs: ({ ids }) => ({ start_logits: noises(ids, 0), end_logits: noises(ids, 1) }),
    });
    let answers = 0;
    for (const [index, text] of [...textsInManyScripts(150, 60)].entries()) {
      // White space at the start must not count as an offset.
      const context = `${text}é x`;
      const parameters = { top_k: 5, doc_stride: 7, align_to_words: index % 2 === 0 };
      const inPoints = await answersOf(model, context, parameters);
      const inUnits = await answersOf(model, context, { ...parameters, offset_unit: "utf-16" });
      for (const [at, { answer, start, end }] of inPoints.entries()) {
        expect([...context].slice(start, end).join("")).toBe(answer);
        expect(context.slice(inUnits[at]?.start, inUnits[at]?.end)).toBe(answer);
        expect(answer.trim()).toBe(answer);
        expect(answer).not.toBe("");
      }
      answers += inPoints.length;
    }
    expect(answers).toBeGreaterThan(400);
  });
});
