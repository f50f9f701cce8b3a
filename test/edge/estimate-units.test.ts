/** What is reserved before anything is computed: near what such requests really read, and never out of all proportion. */
import { describe, expect, it } from "vitest";
import { estimateUnits } from "../../edge/estimate-units.ts";
import { limits } from "../../contract/limits.ts";

const reader = { limits: { maxTokens: 512, dimensions: null, vocabularySize: 30_522 } };
const encoder = { limits: { maxTokens: 256, dimensions: 384, vocabularySize: 30_522 } };
/** 40 bytes: 10 tokens and 2 special ones. */
const text = "0123456789".repeat(4);
const tokens = 12;
/** 4 bytes: 1 token and 2 special ones. */
const label = (index: number) => String(1_000 + index);
const labelTokens = 3;
const labels = Array.from({ length: 100 }, (_, index) => label(index));

function classify(inputs: string[]) {
  const parameters = { candidate_labels: labels };
  return { task: "zero-shot-classification", inputs, parameters } as const;
}

describe("labels", () => {
  it("are each read beside each text by a model of pairs", () => {
    const each = labels.length * (tokens + labelTokens);
    expect(estimateUnits(classify([text]), reader)).toBe(each);
    expect(estimateUnits(classify([text, text]), reader)).toBe(2 * each);
  });

  it("are read once per request where vectors are compared", () => {
    const texts = Array.from({ length: 500 }, (_, index) => `${text}${index}`.slice(-40));
    expect(estimateUnits(classify(texts), encoder)).toBe(
      500 * tokens + labels.length * labelTokens,
    );
  });
});

describe("a query", () => {
  const texts = Array.from({ length: 2_048 }, (_, index) => label(index));
  const call = { task: "rerank", inputs: [{ query: text, texts }], parameters: {} } as const;

  it("is read beside each document by a cross-encoder, and once where vectors are compared", () => {
    const input = { query: text, texts: [...texts] };
    expect(estimateUnits({ ...call, inputs: [input] }, reader)).toBe(
      2_048 * (tokens + labelTokens),
    );
    expect(estimateUnits({ ...call, inputs: [input] }, encoder)).toBe(tokens + 2_048 * labelTokens);
  });
});

describe("a text longer than the model reads", () => {
  const long = "word ".repeat(4_000);
  const whole = 5_002;

  it("counts as the model's length, and whole where it is read in windows", () => {
    const embed = { task: "feature-extraction", inputs: [long], parameters: {} } as const;
    expect(estimateUnits(embed, encoder)).toBe(256);
    const find = { task: "token-classification", inputs: [long] } as const;
    expect(estimateUnits({ ...find, parameters: {} }, reader)).toBe(512);
    expect(estimateUnits({ ...find, parameters: { stride: 16 } }, reader)).toBe(whole);
    const question = { question: text, context: long };
    const answer = { task: "question-answering", inputs: [question], parameters: {} } as const;
    expect(estimateUnits(answer, reader)).toBe(whole + tokens);
  });
});

it("is never more than one request may hold", () => {
  const inputs = Array.from({ length: 2_048 }, () => text.repeat(100));
  expect(estimateUnits(classify(inputs), reader)).toBe(limits.tokensPerRequestMax);
});

it("is nothing where nothing is read", () => {
  expect(estimateUnits({ task: "noop", inputs: [text], parameters: {} }, reader)).toBe(0);
});

it("counts what no model reads too: tokens made, and tokens given", () => {
  const made = { task: "tokenize", inputs: [text.repeat(1_000)], parameters: {} } as const;
  expect(estimateUnits(made, reader)).toBeGreaterThan(reader.limits?.maxTokens ?? 0);
  const given = { task: "detokenize" as const, inputs: [[1, 2, 3], [4]], parameters: {} };
  expect(estimateUnits(given, reader)).toBeGreaterThanOrEqual(4);
});
