/** Labels of the request, by entailment and by similarity, against scores worked out by hand. */
import { describe, expect, it } from "vitest";
import type { TaskParameters } from "../../contract/tasks.ts";
import { TaskRunner, cpuBatchPolicy } from "../../gpu-worker/jobs/task-runner.ts";
import type { EncoderModel } from "../../gpu-worker/model/encoder-model.ts";
import { zeroShotClassification } from "../../gpu-worker/pipelines/zero-shot-classification.ts";
import { toyClassifier, toyHead } from "./toy-classifier.ts";
import { type ToyRow, toyEncoder } from "./toy-encoder.ts";
import { cosinesTo, softmax, sum } from "./toy-oracle.ts";

const signal = new AbortController().signal;
const makeRunner = () => new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });

function ask(
  model: EncoderModel,
  inputs: string[],
  parameters: TaskParameters<"zero-shot-classification">,
  runner = makeRunner(),
) {
  const request = { task: "zero-shot-classification", inputs, parameters } as const;
  return runner.run(zeroShotClassification, request, model, { signal });
}

function expectScores(
  found: { label: string; score: number }[] | undefined,
  ...wanted: [label: string, score: number | undefined][]
): void {
  expect(found?.map(({ label }) => label)).toEqual(wanted.map(([label]) => label));
  for (const [index, [, score]] of wanted.entries()) {
    expect(found?.[index]?.score).toBeCloseTo(score ?? NaN, 5);
  }
}

/** Template of the toy's numbers: words would be no tokens. */
const template = "40 {}";

/** Text and hypothesis as the segments tell them apart, without special tokens. */
function partsOf({ ids, types }: ToyRow): { text: number[]; hypothesis: number[] } {
  const inner = ids.map((id, at) => ({ id, type: types[at] })).filter(({ id }) => id > 2);
  const part = (wanted: number) => inner.filter(({ type }) => type === wanted).map(({ id }) => id);
  return { text: part(0), hypothesis: part(1) };
}

/**
 * Entails by how near the hypothesis' last number is to the text's sum; contradicts by a tenth of the text's length.
 */
function judged(row: ToyRow): { entails: number; contradicts: number } {
  const { text, hypothesis } = partsOf(row);
  const distance = Math.abs(sum(text) - (hypothesis.at(-1) ?? 0));
  return {
    entails: -distance / 10 + (hypothesis[0] === 40 ? 0 : 99),
    contradicts: text.length / 10,
  };
}

const nli = (labels: string[], maxTokens = 16) =>
  toyClassifier(labels, {
    maxTokens,
    logits: (row) => {
      const { entails, contradicts } = judged(row);
      return labels.map((label) => {
        if (/^not|^non|contra/i.test(label)) return contradicts;
        return /entail/i.test(label) ? entails : 0.25;
      });
    },
  });

describe("zero-shot-classification by entailment", () => {
  const parameters = { candidate_labels: ["30", "50", "33"], hypothesis_template: template };

  it.each([
    [["contradiction", "neutral", "entailment"]],
    [["ENTAILMENT", "Neutral", "CONTRADICTION"]],
    [["entailment", "not_entailment"]],
    [["non-entailment", "entailment"]],
  ])("weighs the labels against each other, whatever the order of %j", async (labels) => {
    const answer = await ask(nli(labels), ["30 4", "50"], parameters);
    const [at33 = 0, at30 = 0, at50 = 0] = softmax([-0.1, -0.4, -1.6]);
    expectScores(answer.outputs[0], ["33", at33], ["30", at30], ["50", at50]);
    expect(answer.outputs[1]?.[0]?.label).toBe("50");
    expect(answer.method).toBe("entailment");
    // 1 30 4 2 40 30 2, and one number less.
    expect(answer.usage).toEqual({ promptTokens: 3 * 7 + 3 * 6 });
  });

  it("judges each label against contradiction where several may fit", async () => {
    const model = nli(["contradiction", "neutral", "entailment"]);
    const answer = await ask(model, ["30 4"], { ...parameters, multi_label: true });
    const [at33, at30, at50] = [-0.1, -0.4, -1.6].map((logit) => softmax([0.2, logit])[1]);
    expectScores(answer.outputs[0], ["33", at33], ["30", at30], ["50", at50]);
  });

  it("judges each label against the last class, or the first, of a model without contradiction", async () => {
    const answer = await ask(nli(["entailment", "not_entailment", "other"]), ["30 4"], {
      ...parameters,
      multi_label: true,
    });
    const [at33, at30, at50] = [-0.1, -0.4, -1.6].map((logit) => softmax([logit, 0.25])[0]);
    expectScores(answer.outputs[0], ["33", at33], ["30", at30], ["50", at50]);
  });

  it("judges a single label by itself, so that its score says something", async () => {
    const model = nli(["contradiction", "neutral", "entailment"]);
    const answer = await ask(model, ["30 4"], {
      candidate_labels: ["33"],
      hypothesis_template: template,
    });
    expectScores(answer.outputs[0], ["33", softmax([0.2, -0.1])[1]]);
  });

  it("uses a head beside the graph alike", async () => {
    // Entailment by the sum of all ids, which grows with the label.
    const linear = toyHead("mean", [
      [0, 0],
      [0.01, 0],
    ]);
    const model = toyClassifier(["contradiction", "entailment"], { linear });
    const answer = await ask(model, ["30"], {
      candidate_labels: ["20", "100"],
      hypothesis_template: template,
    });
    const [low = 0, high = 0] = softmax([0.2, 1]);
    expectScores(answer.outputs[0], ["100", high], ["20", low]);
  });

  it("cuts the text alone, and counts it once however many labels it was cut for", async () => {
    const model = nli(["entailment", "contradiction"]);
    // 3 special tokens and 2 of the hypothesis leave 11; all but the first 11 numbers go.
    const text = [...Array.from({ length: 11 }, () => 3), 500, 600].join(" ");
    await expect(ask(model, ["3", text], parameters)).rejects.toMatchObject({
      code: "context_length_exceeded",
      param: "inputs[1]",
      message: expect.stringMatching(/inputs\[1\].*18 tokens.*16/),
    });
    const answer = await ask(model, ["3", text], { ...parameters, truncate: true });
    expect(answer.outputs[1]?.[0]?.label).toBe("33");
    expect(answer.warnings).toEqual(["truncated: 1 of 2 texts were cut to 16 tokens"]);
    expect(answer.usage).toEqual({ promptTokens: 3 * 6 + 3 * 16, truncatedInputs: 1 });
  });

  it("refuses a label that leaves no room for a text, even where texts may be cut", async () => {
    const labels = ["5", "6 ".repeat(15)];
    const asked = ask(nli(["entailment", "contradiction"]), ["3"], {
      candidate_labels: labels,
      hypothesis_template: template,
      truncate: true,
    });
    await expect(asked).rejects.toMatchObject({
      code: "context_length_exceeded",
      param: "candidate_labels[1]",
      message: expect.stringMatching(/16 tokens/),
    });
  });

  it("refuses more tokens than a request may hold", async () => {
    const model = nli(["entailment", "contradiction"], 1_000);
    const labels = Array.from({ length: 100 }, (_, at) => String(at + 3));
    const inputs = Array.from({ length: 4 }, () => "3 ".repeat(900));
    const asked = ask(model, inputs, { candidate_labels: labels });
    await expect(asked).rejects.toMatchObject({
      code: "context_length_exceeded",
      message: expect.stringContaining("300000"),
    });
    expect(model.runs).toEqual([]);
  });
});

describe("zero-shot-classification by similarity", () => {
  const labels = ["3", "60", "5 5 5"];

  it("weighs the labels' cosines against each other, at the scale encoders are trained with", async () => {
    const model = toyEncoder();
    const answer = await ask(model, ["4", "80 9"], { candidate_labels: labels });
    const [a = 0, b = 0, c = 0] = softmax(cosinesTo("4", labels).map((value) => value * 20));
    expectScores(answer.outputs[0], ["3", a], ["5 5 5", c], ["60", b]);
    expect(answer.outputs[1]?.[0]?.label).toBe("60");
    expect(answer.method).toBe("similarity");
    // Labels are read once, not once per text.
    expect(answer.usage).toEqual({ promptTokens: 3 + 3 + 5 + 3 + 4 });
    expect(sum(model.runs.map(([rows]) => rows))).toBe(5);
  });

  it("gives each label its cosine where several may fit, and a single one always", async () => {
    const answer = await ask(toyEncoder(), ["4"], { candidate_labels: labels, multi_label: true });
    const [a, b, c] = cosinesTo("4", labels);
    expectScores(answer.outputs[0], ["3", a], ["5 5 5", c], ["60", b]);
    const single = await ask(toyEncoder(), ["4"], { candidate_labels: ["60"] });
    expectScores(single.outputs[0], ["60", b]);
  });

  it("puts labels into the template", async () => {
    const parameters = { candidate_labels: ["3", "60"], hypothesis_template: "9 {} {}" };
    const answer = await ask(toyEncoder(), ["4"], { ...parameters, multi_label: true });
    const [a, b] = cosinesTo("4", ["9 3 3", "9 60 60"]);
    expectScores(answer.outputs[0], ["3", a], ["60", b]);
  });

  it("takes a label that looks like a replacement pattern as it stands", async () => {
    const answer = await ask(toyEncoder(), ["4"], { candidate_labels: ["$&", "$1"] });
    expect(answer.outputs[0]?.map(({ label }) => label)).toEqual(["$&", "$1"]);
  });

  it("answers a repeated label once and says so", async () => {
    const repeated = ["3", "60", "3", "3"];
    const answer = await ask(toyEncoder(), ["4"], { candidate_labels: repeated });
    const plain = await ask(toyEncoder(), ["4"], { candidate_labels: ["3", "60"] });
    expect(answer.outputs).toEqual(plain.outputs);
    expect(answer.warnings).toEqual(["candidate_labels: 2 repeated labels were left out"]);
    expect(plain.warnings).toEqual([]);
  });

  it("refuses a template without {} for the label", async () => {
    const parameters = { candidate_labels: ["3"], hypothesis_template: "this is it" };
    for (const model of [toyEncoder(), nli(["entailment", "contradiction"])]) {
      await expect(ask(model, ["4"], parameters)).rejects.toMatchObject({
        code: "invalid_value",
        param: "hypothesis_template",
        message: expect.stringContaining("{}"),
      });
    }
  });

  it("names the text or label that is too long", async () => {
    const long = "3 ".repeat(20);
    await expect(ask(toyEncoder(), ["4", long], { candidate_labels: ["3"] })).rejects.toMatchObject(
      { code: "context_length_exceeded", param: "inputs[1]" },
    );
    const truncated = { candidate_labels: ["3", long], truncate: true };
    await expect(ask(toyEncoder(), ["4"], truncated)).rejects.toMatchObject({
      code: "context_length_exceeded",
      param: "candidate_labels[1]",
    });
  });

  it("refuses a model that can do neither", async () => {
    const model = toyClassifier(["positive", "negative"]);
    await expect(ask(model, ["4"], { candidate_labels: ["3"] })).rejects.toMatchObject({
      code: "invalid_value",
      param: "model",
      message: expect.stringContaining("entailment"),
    });
  });

  it("answers requests side by side as each alone", async () => {
    const runner = makeRunner();
    const model = toyEncoder();
    const requests = Array.from({ length: 20 }, (_, at) => ({
      inputs: [`${at + 3}`, `${at} 9 ${at * 2}`],
      parameters: {
        candidate_labels: [`${at * 3}`, "7 7", `${90 - at}`],
        multi_label: at % 2 === 0,
      },
    }));
    const together = await Promise.all(
      requests.map(({ inputs, parameters }) => ask(model, inputs, parameters, runner)),
    );
    for (const [at, { inputs, parameters }] of requests.entries()) {
      expect(together[at]).toEqual(await ask(toyEncoder(), inputs, parameters));
    }
  });
});
