/** Classes of texts, by the graph's logits or by heads beside it, against scores worked out by hand. */
import { describe, expect, it } from "vitest";
import type { TaskParameters } from "../../contract/tasks.ts";
import { TaskRunner, cpuBatchPolicy } from "../../gpu-worker/jobs/task-runner.ts";
import type { EncoderModel } from "../../gpu-worker/pipelines/encoder-model.ts";
import { featureExtraction } from "../../gpu-worker/pipelines/feature-extraction.ts";
import { textClassification } from "../../gpu-worker/pipelines/text-classification.ts";
import { toyClassifier, toyHead } from "./toy-classifier.ts";
import { toyEncoder } from "./toy-encoder.ts";

const signal = new AbortController().signal;
const makeRunner = () => new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });

function classify(
  model: EncoderModel,
  inputs: string[],
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
