/** Classes of texts, by the graph's logits or by heads beside it, against scores worked out by hand. */
import { describe, expect, it } from "vitest";
import type { TaskInput, TaskParameters } from "../../contract/tasks.ts";
import { TaskRunner, cpuBatchPolicy } from "../../gpu-worker/jobs/task-runner.ts";
import type { EncoderModel } from "../../gpu-worker/model/encoder-model.ts";
import { featureExtraction } from "../../gpu-worker/pipelines/feature-extraction.ts";
import { textClassification } from "../../gpu-worker/pipelines/text-classification.ts";
import { toyClassifier, toyHead } from "./toy-classifier.ts";
import { toyEncoder } from "./toy-encoder.ts";

const signal = new AbortController().signal;
const makeRunner = () => new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });

function classify(
  model: EncoderModel,
  inputs: TaskInput<"text-classification">[],
  parameters: TaskParameters<"text-classification"> = {},
  runner = makeRunner(),
) {
  const request = { task: "text-classification", inputs, parameters } as const;
  return runner.run(textClassification, request, model, { signal });
}

const scoresOf = (labels: { score: number }[] | undefined) => labels?.map(({ score }) => score);
const namesOf = (labels: { label: string }[] | undefined) => labels?.map(({ label }) => label);

function expectClose(found: number[] | undefined, wanted: number[]): void {
  expect(found).toHaveLength(wanted.length);
  for (const [index, score] of (found ?? []).entries()) {
    expect(score).toBeCloseTo(wanted[index] ?? NaN, 5);
  }
}

/** Three classes: the first number of the text, 0, and minus one. */
const firstNumber = { logits: ({ ids }: { ids: number[] }) => [ids[1] ?? 0, 0, -1] };

describe("text-classification", () => {
  it("gives every class of each text by softmax, the best first", async () => {
    const model = toyClassifier(["a", "b", "c"], firstNumber);
    const answer = await classify(model, ["3 9", "0"]);
    const sum = Math.exp(3) + 1 + Math.exp(-1);
    expect(namesOf(answer.outputs[0])).toEqual(["a", "b", "c"]);
    expectClose(scoresOf(answer.outputs[0]), [Math.exp(3) / sum, 1 / sum, Math.exp(-1) / sum]);
    expect(answer.usage).toEqual({ promptTokens: 4 + 3 });
    expect(answer.warnings).toEqual([]);
  });

  it("keeps the order of the classes where scores tie", async () => {
    const model = toyClassifier(["a", "b", "c"], { logits: () => [1, 2, 1] });
    expect(namesOf((await classify(model, ["5"])).outputs[0])).toEqual(["b", "a", "c"]);
  });

  it("keeps as many classes as top_k says, and all where it says more", async () => {
    const model = toyClassifier(["a", "b", "c"], firstNumber);
    expect(namesOf((await classify(model, ["3"], { top_k: 2 })).outputs[0])).toEqual(["a", "b"]);
    expect((await classify(model, ["3"], { top_k: 1_000 })).outputs[0]).toHaveLength(3);
  });

  it.each([
    ["single_label", ["a", "b"], [1 / (1 + Math.exp(-2)), 1 / (1 + Math.exp(2))]],
    ["multi_label", ["a", "b"], [1 / (1 + Math.exp(-2)), 0.5]],
    ["single_label", ["a"], [1 / (1 + Math.exp(-2))]],
    ["regression", ["a"], [2]],
  ] as const)("makes scores of a %s problem of %j as transformers does", async (...row) => {
    const [problem, labels, wanted] = row;
    const logits = () => [2, 0].slice(0, labels.length);
    const answer = await classify(toyClassifier([...labels], { problem, logits }), ["5"]);
    expectClose(scoresOf(answer.outputs[0]), [...wanted]);
  });

  it("applies the function the request names", async () => {
    const model = toyClassifier(["a", "b"], { problem: "regression", logits: () => [2, -3] });
    const scores = async (name: "softmax" | "sigmoid" | "none") =>
      scoresOf((await classify(model, ["5"], { function_to_apply: name })).outputs[0]);
    expectClose(await scores("none"), [2, -3]);
    expectClose(await scores("sigmoid"), [1 / (1 + Math.exp(-2)), 1 / (1 + Math.exp(3))]);
    expectClose(await scores("softmax"), [1 / (1 + Math.exp(-5)), 1 / (1 + Math.exp(5))]);
  });

  it("survives logits whose powers no number holds", async () => {
    const model = toyClassifier(["a", "b"], { logits: () => [-4_000, 4_000] });
    expectClose(scoresOf((await classify(model, ["5"])).outputs[0]), [1, 0]);
  });

  it("refuses a text that is too long, and cuts it on demand", async () => {
    const model = toyClassifier(["a", "b", "c"], firstNumber);
    const long = Array.from({ length: 20 }, () => "3").join(" ");
    await expect(classify(model, ["3", long])).rejects.toMatchObject({
      code: "context_length_exceeded",
      param: "inputs[1]",
      message: expect.stringMatching(/22 tokens.*16/),
    });
    const cut = await classify(model, ["3", long], { truncate: true });
    expect(cut.usage).toEqual({ promptTokens: 3 + 16, truncatedInputs: 1 });
    expect(cut.warnings).toEqual(["truncated: 1 of 2 texts were cut to 16 tokens"]);
  });

  it.each([
    ["no head", toyEncoder()],
    [
      "a head that reads spans",
      toyClassifier(["a"], { linear: toyHead("spans", [[1, 1, 1, 1, 1, 1]]) }),
    ],
    [
      "a head that reads tokens",
      {
        ...toyEncoder(),
        head: {
          name: "token-classification",
          labels: ["a"],
          problem: "single_label",
          linear: null,
        },
      } satisfies EncoderModel,
    ],
  ])("refuses a model with %s", async (_what, model) => {
    await expect(classify(model, ["5"])).rejects.toMatchObject({
      code: "invalid_value",
      param: "model",
      message: expect.stringContaining("toy"),
    });
  });
});

const inputsOf = (at: number) => [`${at} 7`, `${at * 5} 3 ${at}`];

/** Tokens of the first text and of the second, special ones included. */
const lengths = ({ types }: { types: number[] }) => {
  const second = types.filter((type) => type === 1).length;
  return [types.length - second, second];
};
const counter = () => toyClassifier(["first", "second"], { logits: lengths });
const numbers = (count: number) => Array.from({ length: count }, () => "7").join(" ");

describe("a text beside another", () => {
  it("is read with segments of their own, texts alone among them", async () => {
    const inputs = [{ text: "5 6", text_pair: "7" }, "8", { text: "9", text_pair: "3 4" }];
    const answer = await classify(counter(), inputs, { function_to_apply: "none" });
    const found = answer.outputs.map((labels) =>
      Object.fromEntries(labels.map(({ label, score }) => [label, score])),
    );
    // The first text with both its special tokens, the second with the one after it.
    expect(found).toEqual([
      { first: 4, second: 2 },
      { first: 3, second: 0 },
      { first: 3, second: 3 },
    ]);
    expect(answer.usage).toEqual({ promptTokens: 6 + 3 + 6 });
  });

  // 16 less 3 special tokens leave 13: the counts are those of Hugging Face's tokenizers under longest_first.
  it.each([
    [20, 20, 6, 7],
    [14, 13, 7, 6],
    [13, 14, 6, 7],
    [3, 20, 3, 10],
    [20, 3, 10, 3],
    [7, 7, 6, 7],
    [7, 6, 7, 6],
    [500, 1, 12, 1],
  ])("of %i and %i tokens keeps %i and %i", async (a, b, keptA, keptB) => {
    const inputs = [{ text: numbers(a), text_pair: numbers(b) }];
    const answer = await classify(counter(), inputs, { truncate: true, function_to_apply: "none" });
    const scores = new Map(answer.outputs[0]?.map(({ label, score }) => [label, score]));
    expect([scores.get("first"), scores.get("second")]).toEqual([keptA + 2, keptB + 1]);
    expect(answer.usage.truncatedInputs).toBe(a + b > 13 ? 1 : undefined);
  });

  it("is refused where both are too long together, by the name of the longer", async () => {
    const asked = classify(counter(), ["3", { text: numbers(9), text_pair: numbers(5) }]);
    await expect(asked).rejects.toMatchObject({
      code: "context_length_exceeded",
      param: "inputs[1].text",
      message: expect.stringMatching(/17 tokens together.*16/),
    });
  });
});

describe("heads beside the graph", () => {
  /** W·[sum of ids, tokens] + b. */
  const rows = [
    [0.1, -1],
    [0, 2],
  ];

  it("read the vector the graph pools", async () => {
    const model = toyClassifier(["a", "b"], { linear: toyHead("mean", rows, [0.5, -7]) });
    const answer = await classify(model, ["20 17"], { function_to_apply: "none" });
    expect(namesOf(answer.outputs[0])).toEqual(["b", "a"]);
    expectClose(scoresOf(answer.outputs[0]), [2 * 4 - 7, 0.1 * 40 - 4 + 0.5]);
  });

  it.each([
    // Of 1 20 17 2 and [id, segment] per token.
    ["mean", "cls", [10, 0]],
    ["cls", "mean", [1, 0]],
    ["max", "mean", [20, 0]],
  ] as const)("pool by %s where the graph pools by %s", async (pooling, graph, features) => {
    const identity = toyHead(pooling, [
      [1, 0],
      [0, 1],
    ]);
    const model = {
      ...toyClassifier(["a", "b"], { linear: identity }),
      sentence: { pooling: graph, normalize: true, prompts: {} },
    };
    // The longer text pads the other one.
    const inputs = ["20 17", "5 5 5 5 5 5"];
    const answer = await classify(model, inputs, { function_to_apply: "none" });
    const [, zero] = answer.outputs[0] ?? [];
    expectClose(scoresOf(answer.outputs[0]), [...features]);
    expect(zero?.label).toBe("b");
    expect(model.runs).toEqual([[2, 8]]);
  });

  it("share batches with each other and with sentence vectors, and answer as alone", async () => {
    const backbone = toyEncoder();
    const labels = ["a", "b", "c"];
    const models = Array.from({ length: 16 }, (_, at): EncoderModel => {
      const weights = labels.map((_label, row) => [
        Math.sin(at + row) / 100,
        Math.cos(at * row) / 10,
      ]);
      const pooling = at % 4 === 0 ? "max" : "mean";
      const linear = toyHead(pooling, weights);
      return {
        ...backbone,
        id: `head-${at}`,
        head: { name: "sequence-classification", labels, problem: "single_label", linear },
      };
    });
    const alone = [];
    for (const [at, model] of models.entries()) alone.push(await classify(model, inputsOf(at)));
    const runner = makeRunner();
    const before = backbone.runs.length;
    const inputs = ["4 4"];
    const request = { task: "feature-extraction", inputs, parameters: {} } as const;
    const [vectors, ...together] = await Promise.all([
      runner.run(featureExtraction, request, backbone, { signal }),
      ...models.map((model, at) => classify(model, inputsOf(at), {}, runner)),
    ]);
    expect(backbone.runs.length - before).toBe(1);
    expect(together).toEqual(alone);
    const plain = await makeRunner().run(featureExtraction, request, backbone, { signal });
    expect(vectors).toEqual(plain);
  });
});
