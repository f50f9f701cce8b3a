/** Relations of marked parts and of found entities, for heads in the graph and beside it. */
import { describe, expect, it } from "vitest";
import * as z from "zod";
import type { TaskParameters } from "../../contract/tasks.ts";
import { RelatedPair } from "../../contract/tasks/relation-extraction.ts";
import type { ModelHead } from "../../gpu-worker/model/model-head.ts";
import { relationExtraction } from "../../gpu-worker/pipelines/relation-extraction.ts";
import { type ToyModel, toyContext, toyModel, toyTokenizer } from "./toy-tagger.ts";

const Pairs = z.array(RelatedPair);

type Parameters = TaskParameters<"relation-extraction">;

const labels = ["Other", "Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)"];
const classifier = { name: "sequence-classification", labels, problem: "single_label" } as const;

const softmax = (logits: number[]) => {
  const powers = logits.map(Math.exp);
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
};

/** Reads marks: the second class if the text between `<e1>` begins with a letter before the one between `<e2>`. */
function markReader(entityModel?: string): ToyModel & { texts: string[] } {
  const tokenizer = toyTokenizer();
  const texts: string[] = [];
  const model = toyModel({
    tokenizer,
    maxTokens: 40,
    ...(entityModel === undefined ? {} : { entityModel }),
    head: { ...classifier, linear: null },
    outputs({ ids }) {
      const text = ids.map(tokenizer.textOf).join(" ").replaceAll(" ##", "");
      texts.push(text);
      const head = /< e 1 > (\w+)/.exec(text)?.[1] ?? "";
      const tail = /< e 2 > (\w+)/.exec(text)?.[1] ?? "";
      return { logits: [head < tail ? [0, 2, 1] : [0, 1, 3]] };
    },
  });
  return { ...model, texts };
}

/** Finds words that begin with a capital. */
function entityFinder(maxTokens = 40): ToyModel {
  const tokenizer = toyTokenizer();
  const head: ModelHead = {
    name: "token-classification",
    labels: ["O", "B-NAME"],
    problem: "single_label",
    linear: null,
  };
  return toyModel({
    tokenizer,
    maxTokens,
    head,
    outputs: ({ ids }) => ({
      logits: ids.map((id) => (/^[A-Z]/.test(tokenizer.textOf(id)) ? [0, 4] : [4, 0])),
    }),
  });
}

async function relate(
  model: ToyModel,
  inputs: string[],
  parameters: Parameters = {},
  models: Record<string, ToyModel> = {},
) {
  const request = { task: "relation-extraction" as const, inputs, parameters };
  return relationExtraction.answer(request, model, toyContext(models));
}

describe("marked parts", () => {
  it("are classified with all classes, the best first", async () => {
    const model = markReader();
    const { outputs, usage } = await relate(model, ["The <e1>a</e1> made <e2>b</e2> 😀."]);
    const [other, forth, back] = softmax([0, 2, 1]);
    expect(outputs).toEqual([
      [
        { label: labels[1], score: expect.closeTo(forth ?? 0, 6) },
        { label: labels[2], score: expect.closeTo(back ?? 0, 6) },
        { label: labels[0], score: expect.closeTo(other ?? 0, 6) },
      ],
    ]);
    // The model reads the marks as it was trained to.
    expect(model.texts[0]).toContain("< e 1 > a < / e 1 >");
    expect(usage.promptTokens).toBe(model.rows[0]?.ids.length);
  });

  it("may stand in either order, and top_k cuts", async () => {
    const { outputs } = await relate(markReader(), ["<e2>a</e2> by <e1>b</e1>"], { top_k: 1 });
    expect(outputs).toMatchObject([[{ label: labels[2] }]]);
  });

  it.each([
    ["a <e1>b</e1> c", /<e2> is missing/],
    ["a <e1>b</e1> <e2>c", /<\/e2> is missing/],
    ["<e1>a</e1> <e1>b</e1> <e2>c</e2>", /<e1> stands 2 times/],
    ["<e1>a <e2>b</e2></e1>", /inside the other/],
    ["</e1>a<e1> <e2>b</e2>", /ends before it starts/],
    ["<e1> </e1>a <e2>b</e2>", /empty/],
  ])("are refused in another form: %s", async (text, message) => {
    const asked = relate(markReader(), ["<e1>a</e1><e2>b</e2>", text]);
    await expect(asked).rejects.toMatchObject({ code: "invalid_value", param: "inputs[1]" });
    await expect(asked).rejects.toThrow(message);
    await expect(asked).rejects.toThrow(/<e1>storm<\/e1> caused the <e2>flood<\/e2>/);
  });

  it("are refused where the text is too long", async () => {
    const text = `<e1>a</e1> ${"x ".repeat(40)} <e2>b</e2>`;
    await expect(relate(markReader(), [text])).rejects.toMatchObject({
      code: "context_length_exceeded",
      param: "inputs[0]",
    });
  });
});

/** Vector of a token. */
const vectorOf = (token: string) => [(token.charCodeAt(0) % 7) - 3, 1];

const mean = (tokens: string[]) => {
  const vectors = tokens.map(vectorOf);
  return [0, 1].map(
    (at) => vectors.reduce((sum, each) => sum + (each[at] ?? 0), 0) / tokens.length,
  );
};

describe("a head over token vectors", () => {
  const weight = [
    [1, 0, 0, 0, 0, 0],
    [0, 0, 1, 0, 0, 0.5],
    [0, 0, 0, 0, 0.25, 1],
  ];
  const bias = [0.5, 0, -1];

  function spanReader(): ToyModel {
    const tokenizer = toyTokenizer();
    const linear = {
      pooling: "spans",
      weight: Float32Array.from(weight.flat()),
      bias: Float32Array.from(bias),
    } as const;
    return toyModel({
      tokenizer,
      maxTokens: 40,
      entityModel: "finder",
      head: { ...classifier, linear },
      outputs: ({ ids }) => ({
        last_hidden_state: ids.map((id) => vectorOf(tokenizer.textOf(id))),
      }),
    });
  }

  it("reads the text without marks: mean of head, of tail, of all with special tokens", async () => {
    const model = spanReader();
    const { outputs } = await relate(model, ["a <e1>bcde</e1> f 😀 <e2>g h</e2>"]);
    const all = ["[CLS]", "a", "bcd", "##e", "f", "😀", "g", "h", "[SEP]"];
    const features = [...mean(["bcd", "##e"]), ...mean(["g", "h"]), ...mean(all)];
    const logits = weight.map((row, label) =>
      row.reduce((sum, each, at) => sum + each * (features[at] ?? 0), bias[label] ?? 0),
    );
    const expected = softmax(logits)
      .map((score, at) => ({ label: labels[at], score: expect.closeTo(score, 5), own: score }))
      .toSorted((x, y) => y.own - x.own)
      .map(({ label, score }) => ({ label, score }));
    expect(outputs).toEqual([expected]);
    expect(model.rows).toHaveLength(1);
  });

  it("reads a text once for all of its pairs, with what each pair alone would give", async () => {
    const model = spanReader();
    const finder = entityFinder();
    const { outputs } = await relate(model, ["Ab x Cd y Ef"], {}, { finder });
    expect(model.rows).toHaveLength(1);
    const marked = await relate(spanReader(), ["<e2>Ab</e2> x Cd y <e1>Ef</e1>"], { top_k: 1 });
    const pair = Pairs.parse(outputs[0]).find(
      ({ head, tail }) => head.word === "Ef" && tail.word === "Ab",
    );
    expect(pair).toMatchObject(marked.outputs[0]?.[0] ?? {});
    expect(outputs[0]).toHaveLength(6);
  });

  it("refuses a part that no token stands for", async () => {
    const asked = relate(spanReader(), ["<e1>\u0301</e1> a <e2>b</e2>"]);
    await expect(asked).rejects.toMatchObject({ code: "invalid_value", param: "inputs[0]" });
  });
});

describe("texts without marks", () => {
  it("have every ordered pair of the entities that another model finds, by score", async () => {
    const model = markReader("finder");
    const finder = entityFinder();
    const text = "😀 Ab saw Cd and Ef";
    const { outputs, usage } = await relate(model, [text], {}, { finder });
    const pairs = Pairs.parse(outputs[0]);
    const brief = pairs.map(({ head, tail, label }) => [head.word, tail.word, label]);
    // Going back has logit 3 to 1 and is surer than going forth with 2 to 1.
    expect(brief).toEqual([
      ["Cd", "Ab", labels[2]],
      ["Ef", "Ab", labels[2]],
      ["Ef", "Cd", labels[2]],
      ["Ab", "Cd", labels[1]],
      ["Ab", "Ef", labels[1]],
      ["Cd", "Ef", labels[1]],
    ]);
    expect(pairs[0]).toMatchObject({
      head: { entity_group: "NAME", word: "Cd", start: 9, end: 11 },
      tail: { entity_group: "NAME", word: "Ab", start: 2, end: 4 },
    });
    expect(model.texts).toContain(
      "[CLS] 😀 < e 1 > Ab < / e 1 > saw < e 2 > Cd < / e 2 > and Ef [SEP]",
    );
    const read = [...model.rows, ...finder.rows].reduce((sum, { ids }) => sum + ids.length, 0);
    expect(usage.promptTokens).toBe(read);
  });

  it("may stand beside texts with marks, and have offsets in UTF-16 units", async () => {
    const { outputs } = await relate(
      markReader(),
      ["😀 Ab Cd", "<e1>a</e1> <e2>b</e2>", "none"],
      { entity_model: "finder", top_k: 1, offset_unit: "utf-16" },
      { finder: entityFinder() },
    );
    expect(outputs).toMatchObject([
      [{ head: { word: "Cd", start: 6, end: 8 }, tail: { word: "Ab", start: 3, end: 5 } }],
      [{ label: labels[1] }],
      [],
    ]);
  });

  it("need a model that finds entities", async () => {
    await expect(relate(markReader(), ["Ab Cd"])).rejects.toMatchObject({
      code: "invalid_value",
      param: "entity_model",
      message: expect.stringMatching(/<e1>.*entity_model/s),
    });
    const other = relate(markReader("finder"), ["Ab Cd"], {}, { finder: markReader() });
    await expect(other).rejects.toMatchObject({ code: "invalid_value", param: "entity_model" });
  });

  it("are refused with more entities than are related", async () => {
    const finder = entityFinder(500);
    const many = relate(markReader("finder"), ["Ab x ".repeat(33)], {}, { finder });
    await expect(many).rejects.toMatchObject({
      code: "invalid_value",
      param: "inputs[0]",
      message: expect.stringMatching(/33 entities.*32/),
    });
  });

  it("are refused by a model that relates nothing", async () => {
    await expect(relate(entityFinder(), ["Ab Cd"])).rejects.toMatchObject({
      code: "invalid_value",
      param: "model",
    });
  });
});
