/** Logits summed in blocks by ONNX Runtime, beside what their definition says, and what a sampler makes of them. */
import { beforeAll, describe, expect, it } from "vitest";
import { randomFrom } from "../../contract/random.ts";
import { openLogitBlocks } from "../../gpu-worker/graphs/open-logit-blocks.ts";
import { type LogitRows, rowsOf } from "../../gpu-worker/llm/logit-rows.ts";
import { type LogitsRow, Sampler } from "../../gpu-worker/llm/sampler.ts";
import type { SamplingParameters } from "../../gpu-worker/model/generation.ts";
import { logitBlocksOf, logitBlockTokens } from "../../gpu-worker/model/logit-blocks.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Runtime } from "../../gpu-worker/runtime/session.ts";
import { tensor } from "../../gpu-worker/tensor/tensor.ts";
import { madeLogits, rowOf } from "../llm/made-rows.ts";

let runtime: Runtime;

beforeAll(async () => {
  runtime = await openRuntime({ log: { info: () => undefined, warn: () => undefined } });
});

const outputsOf = (vocabulary: number) => [
  { name: "logits", dtype: "float32" as const, shape: ["asked", vocabulary] },
];

/** Of a whole number of blocks, and not. */
const vocabularies = [6_400, 6_441];

async function summed(
  logits: Float32Array<ArrayBuffer>,
  vocabulary: number,
  temperatures: readonly number[],
): Promise<LogitRows> {
  const session = await openLogitBlocks(
    { provider: "cpu", outputs: outputsOf(vocabulary) },
    runtime,
  );
  const rows = temperatures.length;
  const found = await session?.run({
    logits: tensor("float32", [rows, vocabulary], logits),
    inverse_temperatures: tensor(
      "float32",
      [rows],
      Float32Array.from(temperatures, (t) => 1 / t),
    ),
  });
  await session?.release();
  const { maxima, sums } = found ?? {};
  const shape = [rows, Math.ceil(vocabulary / logitBlockTokens)];
  expect([maxima?.shape, sums?.shape]).toEqual([shape, shape]);
  return { logits, blocks: logitBlocksOf(found ?? {}) };
}

const temperatures = [1, 0.2, 0.7, 2, 1e-5, 100];

describe.each(vocabularies)("logits of %i tokens in blocks", (vocabulary) => {
  it("have the maxima and sums of the definition", async () => {
    const logits = madeLogits(temperatures.length * vocabulary, randomFrom(1));
    const { blocks } = await summed(logits, vocabulary, temperatures);
    const width = Math.ceil(vocabulary / logitBlockTokens);
    for (const [row, temperature] of temperatures.entries()) {
      const own = logits.subarray(row * vocabulary, (row + 1) * vocabulary);
      const highest = Math.max(...own);
      for (let block = 0; block < width; block += 1) {
        const part = own.subarray(block * logitBlockTokens, (block + 1) * logitBlockTokens);
        expect(blocks?.maxima[row * width + block]).toBe(Math.max(...part));
        const sum = part.reduce((all, each) => all + Math.exp((each - highest) / temperature), 0);
        const found = blocks?.sums[row * width + block] ?? NaN;
        expect(Math.abs(found - sum)).toBeLessThanOrEqual(1e-5 * sum + 1e-30);
      }
    }
  });

  it("are the same to the bit alone and among others", async () => {
    const rows = 17;
    const logits = madeLogits(rows * vocabulary, randomFrom(2));
    const all = await summed(
      logits,
      vocabulary,
      Array.from({ length: rows }, () => 0.9),
    );
    for (const row of [0, 1, 7, 16]) {
      const { logits: own, blocks } = rowsOf(all, vocabulary, { from: row, to: row + 1 });
      const alone = await summed(own.slice(), vocabulary, [0.9]);
      expect(alone.blocks).toEqual(blocks);
    }
  });

  it.each([
    [NaN, "a logit is NaN"],
    [Infinity, "a logit is +Infinity"],
  ])("say of a row with %d that the logits must be read", async (broken, reason) => {
    const logits = madeLogits(2 * vocabulary, randomFrom(3));
    logits[vocabulary + 700] = broken;
    const rows = await summed(logits, vocabulary, [1, 1]);
    const sampler = new Sampler(vocabulary);
    const [whole, other] = [0, 1].map((row) =>
      rowsOf(rows, vocabulary, { from: row, to: row + 1 }),
    );
    for (const parameters of [{}, { temperature: 0 }, { topP: 0.9 }]) {
      const sample = (row: LogitRows | undefined) =>
        row && sampler.sample(row.logits, rowOf(parameters), row.blocks);
      expect(sample(whole)).toMatchObject({ kind: "token" });
      expect(sample(other)).toEqual({ kind: "unusable", reason });
    }
    const nothing = new Float32Array(vocabulary).fill(-Infinity);
    const { blocks } = await summed(nothing, vocabulary, [1]);
    const found = sampler.sample(nothing, rowOf({}), blocks);
    expect(found).toEqual({ kind: "unusable", reason: "every logit is -Infinity" });
  });

  it("lead to the tokens that whole rows lead to", async () => {
    const some = { temperature: 0.8, logitBias: new Map([[3, 5]]) };
    const mask = Int32Array.from(
      { length: Math.ceil(vocabulary / 32) },
      (_, at) => at * 0x9e3779b1,
    );
    const cases: [Partial<SamplingParameters>, Partial<LogitsRow>?][] = [
      [{}],
      [{ temperature: 0.5 }],
      [{ temperature: 1.5 }],
      [{ topP: 0.9 }],
      [{ topP: 0.3, temperature: 0.7 }],
      [{ topP: 0.999_999 }],
      [{ topP: 0.95, minP: 0.01 }],
      [{ topP: 1e-9 }],
      [{ temperature: 0 }],
      [{ topK: 20 }],
      [{ minP: 0.05 }],
      [{ topLogprobs: 3 }],
      [some],
      [{ frequencyPenalty: 1 }, { outputCounts: new Map([[9, 2]]) }],
      [{}, { allowed: mask }],
      [{ topP: 0.9 }, { allowed: mask }],
    ];
    const sampler = new Sampler(vocabulary);
    let different = 0;
    const draws = 100;
    for (const [at, [parameters, more]] of cases.entries()) {
      const logits = madeLogits(vocabulary, randomFrom(10 + at));
      const { temperature = 1 } = parameters;
      const { blocks } = await summed(logits, vocabulary, [temperature || 1]);
      for (let position = 0; position < draws; position += 1) {
        const row = rowOf(parameters, { ...more, position });
        const [whole, found] = [null, blocks].map((each) => sampler.sample(logits, row, each));
        if (JSON.stringify(found) !== JSON.stringify(whole)) different += 1;
      }
    }
    // A place on the border of two unlikely tokens may fall to either by the rounding of the sums.
    expect(different).toBeLessThanOrEqual((cases.length * draws) / 1_000);
  });

  it("are drawn from as the distribution says: chi-square under the 0.999 quantile", async () => {
    const logits = madeLogits(vocabulary, randomFrom(4));
    const sampler = new Sampler(vocabulary);
    const row = rowOf({ temperature: 0.6, seed: 7 });
    const { blocks } = await summed(logits, vocabulary, [0.6]);
    const likely = [...sampler.distribution(logits, row).entries()]
      .toSorted(([, a], [, b]) => b - a)
      .slice(0, 20);
    const draws = 20_000;
    const counts = new Map<number, number>();
    for (let position = 0; position < draws; position += 1) {
      const sampled = sampler.sample(logits, { ...row, position }, blocks);
      if (sampled.kind !== "token") throw new Error("no token");
      counts.set(sampled.token, (counts.get(sampled.token) ?? 0) + 1);
    }
    const rest = { expected: draws, counted: draws };
    let chiSquare = 0;
    for (const [token, probability] of likely) {
      const [expected, counted] = [draws * probability, counts.get(token) ?? 0];
      chiSquare += (counted - expected) ** 2 / expected;
      rest.expected -= expected;
      rest.counted -= counted;
    }
    chiSquare += (rest.counted - rest.expected) ** 2 / rest.expected;
    // 20 degrees of freedom.
    expect(chiSquare).toBeLessThan(45.31);
  });
});

it("none are computed of a decoder that is elsewhere than on the CPU", async () => {
  expect(await openLogitBlocks({ provider: "cuda", outputs: outputsOf(64) }, runtime)).toBeNull();
});
