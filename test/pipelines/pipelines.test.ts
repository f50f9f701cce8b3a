/** The pipelines and their batches on an encoder whose vectors can be worked out by hand. */
import { describe, expect, it } from "vitest";
import type { TaskOutput, TaskParameters } from "../../contract/tasks.ts";
import { TaskRunner, cpuBatchPolicy } from "../../gpu-worker/jobs/task-runner.ts";
import { featureExtraction } from "../../gpu-worker/pipelines/feature-extraction.ts";
import { pipelines } from "../../gpu-worker/pipelines/pipelines.ts";
import { sentenceSimilarity } from "../../gpu-worker/pipelines/sentence-similarity.ts";
import { toyEncoder } from "./toy-encoder.ts";

const signal = new AbortController().signal;
const makeRunner = () => new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });

function vectorOf(output: TaskOutput<"feature-extraction"> | undefined): number[] {
  const base64 = typeof output === "object" ? output.vectors : (output ?? "");
  const bytes = Uint8Array.from(Buffer.from(base64, "base64"));
  return [...new Float32Array(bytes.buffer)];
}

/** Of a sequence's numbers and its special tokens 1 and 2. */
const sum = (list: number[]) => list.reduce((a, b) => a + b, 3);

const cosine = (a: number[], b: number[]) =>
  a.reduce((dot, x, i) => dot + x * (b[i] ?? 0), 0) / (Math.hypot(...a) * Math.hypot(...b));

function extract(
  inputs: (string | number[])[],
  parameters: TaskParameters<"feature-extraction"> = {},
  model = toyEncoder(),
) {
  const request = { task: "feature-extraction", inputs, parameters } as const;
  return makeRunner().run(featureExtraction, request, model, { signal });
}

describe("feature-extraction", () => {
  it("gives a unit vector per input as base64 of little-endian f32, in order", async () => {
    const answer = await extract(["10 20", "5"]);
    // "10 20" is read as 1 10 20 2: sum 33, 4 tokens.
    const length = Math.hypot(33, 4);
    expect(vectorOf(answer.outputs[0])[0]).toBeCloseTo(33 / length, 6);
    expect(vectorOf(answer.outputs[0])[1]).toBeCloseTo(4 / length, 6);
    expect(vectorOf(answer.outputs[1])[0]).toBeCloseTo(8 / Math.hypot(8, 3), 6);
    expect(answer.usage).toEqual({ promptTokens: 7 });
    expect(answer.warnings).toEqual([]);
  });

  it("gives the pooled vector where normalize is false, a unit vector where it is true", async () => {
    expect(vectorOf((await extract(["10 20"], { normalize: false })).outputs[0])).toEqual([33, 4]);
    const toy = toyEncoder();
    const sentence = { pooling: "mean", normalize: false, prompts: {} } as const;
    const plain = { ...toy, sentence };
    const [output] = (await extract(["10 20"], { normalize: true }, plain)).outputs;
    expect(Math.hypot(...vectorOf(output))).toBeCloseTo(1, 6);
  });

  it("reads token ids as the text they stand for, with or without special tokens", async () => {
    const { outputs } = await extract(["10 20", [10, 20], [1, 10, 20, 2]]);
    expect(outputs[1]).toBe(outputs[0]);
    expect(outputs[2]).toBe(outputs[0]);
  });

  it("refuses an id outside the vocabulary and says what else is read", async () => {
    await expect(extract(["1", [999, 1_000]])).rejects.toMatchObject({
      code: "invalid_value",
      param: "inputs[1]",
      message: expect.stringMatching(/1000.*999.*cl100k_base/s),
    });
  });

  it("refuses an input that is too long, naming its length and the model's", async () => {
    const tooLong = Array.from({ length: 20 }, () => "3").join(" ");
    await expect(extract(["3", tooLong])).rejects.toMatchObject({
      code: "context_length_exceeded",
      param: "inputs[1]",
      message: expect.stringMatching(/22 tokens.*16.*truncate/),
    });
    await expect(extract([Array.from({ length: 15 }, () => 3)])).rejects.toMatchObject({
      code: "context_length_exceeded",
    });
  });

  it("refuses a text of no tokens where the tokenizer adds none", async () => {
    const toy = toyEncoder();
    const bare = {
      ...toy.tokenizer,
      wrap: (ids: readonly number[]) => ({ ids: [...ids], typeIds: [], starts: [0] }),
      specialTokens: { single: 0, pair: 0 },
    };
    await expect(extract(["3", " "], {}, { ...toy, tokenizer: bare })).rejects.toMatchObject({
      code: "invalid_value",
      param: "inputs[1]",
    });
    expect(toy.runs).toEqual([]);
  });

  it("cuts an input on demand, at the wanted end, keeps its special tokens, and warns", async () => {
    const numbers = Array.from({ length: 20 }, (_, index) => index + 10);
    const text = numbers.join(" ");
    const parameters = { truncate: true, normalize: false } as const;
    for (const input of [text, numbers]) {
      const right = await extract([input], parameters);
      expect(vectorOf(right.outputs[0])).toEqual([sum(numbers.slice(0, 14)), 16]);
      expect(right.usage.promptTokens).toBe(16);
      expect(right.warnings).toEqual(["truncated: 1 of 1 texts were cut to 16 tokens"]);
      const left = await extract([input], { ...parameters, truncation_direction: "left" });
      expect(vectorOf(left.outputs[0])).toEqual([sum(numbers.slice(-14)), 16]);
    }
  });

  it("stops counting a text that is far too long, from either end", async () => {
    const numbers = Array.from({ length: 5_000 }, (_, index) => 10 + (index % 50));
    const text = numbers.join(" ");
    await expect(extract([text])).rejects.toThrow(/more than \d+ tokens/);
    const parameters = { truncate: true, normalize: false } as const;
    const left = await extract([text], { ...parameters, truncation_direction: "left" });
    expect(vectorOf(left.outputs[0])).toEqual([sum(numbers.slice(-14)), 16]);
  });

  it("puts a named prompt before texts, and refuses an unknown one", async () => {
    const { outputs } = await extract(["10"], { prompt_name: "query", normalize: false });
    expect(vectorOf(outputs[0])).toEqual([28, 5]);
    await expect(extract(["10"], { prompt_name: "none" })).rejects.toMatchObject({
      code: "invalid_value",
      param: "prompt_name",
      message: expect.stringContaining("query"),
    });
    await expect(extract([[10]], { prompt_name: "query" })).rejects.toMatchObject({
      code: "invalid_value",
    });
  });

  it("refuses a model that makes no sentence vectors, and a request with too many tokens", async () => {
    const headless = { ...toyEncoder(), sentence: null };
    await expect(extract(["1"], {}, headless)).rejects.toMatchObject({ param: "model" });
    const long = toyEncoder(1_000_000);
    const inputs = [Array.from({ length: 299_999 }, () => 3)];
    await expect(extract(inputs, {}, long)).rejects.toMatchObject({
      code: "context_length_exceeded",
      // Callers know the field by other names, of one text or several: "hold" would suit few.
      message: expect.stringMatching(/^In all there are more than 300000 tokens in inputs\./),
    });
  });

  it("answers 2048 inputs over several batches, in order", async () => {
    const model = toyEncoder();
    const inputs = Array.from({ length: 2_048 }, (_, index) =>
      Array.from({ length: 1 + (index % 9) }, () => index % 100).join(" "),
    );
    const answer = await extract(inputs, { normalize: false }, model);
    const expected = inputs.map((text) => {
      const numbers = text.split(" ").map(Number);
      return [sum(numbers), numbers.length + 2];
    });
    expect(answer.outputs.map(vectorOf)).toEqual(expected);
    expect(model.runs.length).toBeGreaterThan(30);
  });
});

/** The toy with a record of its tokenizer's calls: how many texts each had. */
function watched(maxTokens?: number) {
  const model = toyEncoder(maxTokens);
  const calls: number[] = [];
  const encode: typeof model.tokenizer.encode = (texts, options) => {
    calls.push(texts.length);
    return model.tokenizer.encode(texts, options);
  };
  return { model: { ...model, tokenizer: { ...model.tokenizer, encode } }, calls };
}

describe("feature-extraction of tokens", () => {
  const parameters = { pooling: "none" } as const;

  it("gives a vector for each token, special ones included, of a model that pools nothing too", async () => {
    const toy = toyEncoder();
    const limits = { ...toy.limits, dimensions: null };
    for (const model of [toy, { ...toy, limits, sentence: null }]) {
      const { outputs, usage } = await extract(["10 20", [5]], parameters, model);
      expect(outputs).toMatchObject([{ dimensions: 2 }, { dimensions: 2 }]);
      expect(outputs.map(vectorOf)).toEqual([
        [1, 0, 10, 0, 20, 0, 2, 0],
        [1, 0, 5, 0, 2, 0],
      ]);
      expect(usage).toEqual({ promptTokens: 7 });
    }
  });

  it("cuts and prompts as it does for vectors of texts", async () => {
    const { outputs, warnings } = await extract(["3"], { ...parameters, prompt_name: "query" });
    expect(outputs.map(vectorOf)).toEqual([[1, 0, 7, 0, 8, 0, 3, 0, 2, 0]]);
    expect(warnings).toEqual([]);
    const long = [Array.from({ length: 20 }, () => "3").join(" ")];
    const cut = await extract(long, { ...parameters, truncate: true });
    expect(vectorOf(cut.outputs[0])).toHaveLength(2 * 16);
    expect(cut.warnings).toEqual(["truncated: 1 of 1 texts were cut to 16 tokens"]);
  });

  it("refuses more numbers than a request may ask for, before it runs or at the first row", async () => {
    const toy = toyEncoder();
    const wide = { ...toy, limits: { ...toy.limits, dimensions: 8_192 } };
    const texts = Array.from({ length: 22 }, () => "3");
    await expect(extract(texts, parameters, wide)).rejects.toMatchObject({
      code: "invalid_value",
      param: "inputs",
      message: expect.stringMatching(/66 tokens.*8192 numbers are 540672 in all.*524288/),
    });
    expect(toy.runs).toEqual([]);
    await expect(extract(texts.slice(1), parameters, wide)).resolves.toBeDefined();
  });

  it.each([
    ["a model whose graph gives none", { session: { outputs: [{ name: "logits" }] } }, {}, "model"],
    ["to scale what is not pooled", {}, { normalize: true }, "normalize"],
  ])("refuses %s", async (_, { session }: { session?: object }, more, param) => {
    const toy = toyEncoder();
    const model = { ...toy, session: { ...toy.session, ...session } };
    const asked = extract(["3"], { ...parameters, ...more }, model);
    await expect(asked).rejects.toMatchObject({ code: "invalid_value", param });
  });
});

describe("the texts of a request", () => {
  it("go to the tokenizer together, ids among them left out", async () => {
    const { model, calls } = watched();
    const answer = await extract(["3", [4, 5], "6 7", [8], "9"], { normalize: false }, model);
    expect(answer.outputs.map(vectorOf)).toEqual([
      [6, 3],
      [12, 4],
      [16, 4],
      [11, 3],
      [12, 3],
    ]);
    expect(calls).toEqual([3]);
  });

  it("are not all encoded where they prove too many tokens for one request", async () => {
    const { model, calls } = watched(10_000);
    const inputs = Array.from({ length: 400 }, () => "3 ".repeat(5_000));
    await expect(extract(inputs, {}, model)).rejects.toMatchObject({
      code: "context_length_exceeded",
      message: expect.stringContaining("300000"),
    });
    // 61 texts of 5 002 tokens are too many; a call takes 6 of 10 000 characters.
    expect(calls).toEqual(Array.from({ length: 10 }, () => 6));
    expect(model.runs).toEqual([]);
  });

  it("are refused by their index, however many come before", async () => {
    const inputs = Array.from({ length: 100 }, (_, at) => (at === 57 ? "3 ".repeat(15) : "3"));
    await expect(extract(inputs, { truncate: false })).rejects.toMatchObject({
      param: "inputs[57]",
      message: expect.stringMatching(/inputs\[57\] has 17 tokens/),
    });
  });
});

describe("sentence-similarity", () => {
  it("gives one cosine per sentence for each input, whatever batches they ran in", async () => {
    const model = toyEncoder();
    const inputs = [
      { source_sentence: "10", sentences: ["10", "500 500 500"] },
      { source_sentence: "3 3 3", sentences: ["4"] },
    ];
    const request = { task: "sentence-similarity", inputs, parameters: {} } as const;
    const answer = await makeRunner().run(sentenceSimilarity, request, model, { signal });
    expect(answer.outputs[0]?.[0]).toBe(1);
    expect(answer.outputs[0]?.[1]).toBeCloseTo(cosine([13, 3], [1_503, 5]), 6);
    expect(answer.outputs[1]?.[0]).toBeCloseTo(cosine([12, 5], [7, 3]), 6);
    expect(answer.usage).toEqual({ promptTokens: 3 + 3 + 5 + 5 + 3 });
    expect(model.runs.reduce((rows, [count]) => rows + count, 0)).toBe(5);
  });

  it("names the sentence that is too long", async () => {
    const inputs = [{ source_sentence: "1", sentences: ["2", "3 ".repeat(20)] }];
    const request = { task: "sentence-similarity", inputs, parameters: {} } as const;
    const run = makeRunner().run(sentenceSimilarity, request, toyEncoder(), { signal });
    await expect(run).rejects.toMatchObject({ param: "inputs[0].sentences[1]" });
  });
});

describe("noop", () => {
  it("answers its inputs", () => {
    const { noop } = pipelines;
    if (noop.kind !== "direct") throw new Error("noop needs no model");
    expect(noop.answer({ task: "noop", inputs: ["a", ""], parameters: {} })).toEqual(["a", ""]);
  });
});
