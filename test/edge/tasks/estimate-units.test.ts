/**
 * What is reserved before anything is computed: near what such requests really read, and never out of all proportion.
 */
import { describe, expect, it } from "vitest";
import { limits } from "../../../contract/limits.ts";
import { estimateUnits } from "../../../edge/tasks/estimate-units.ts";

const reader = { limits: { maxTokens: 512, dimensions: null, vocabularySize: 30_522 } };
const encoder = { limits: { maxTokens: 256, dimensions: 384, vocabularySize: 30_522 } };
/** Ten words of one token each, and 2 special ones. */
const text = "ab ".repeat(10);
const tokens = 12;
/** Two digits are a token; 2 special ones. */
const label = (index: number) => String(1_000 + index);
const labelTokens = 4;
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
    const texts = Array.from({ length: 500 }, () => text);
    expect(estimateUnits(classify(texts), encoder)).toBe(
      500 * tokens + labels.length * labelTokens,
    );
  });

  it("are read in their template, each as often as it stands there", () => {
    const parameters = { candidate_labels: ["ab"], hypothesis_template: "{} cd {} ef {}" };
    const call = { task: "zero-shot-classification", inputs: [text], parameters } as const;
    expect(estimateUnits(call, encoder)).toBe(tokens + 5 + 2);
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

describe("a text that stands in a request several times", () => {
  it("counts each time: it is read each time", () => {
    const sentences = Array.from({ length: 100 }, () => text);
    const compare = {
      task: "sentence-similarity",
      inputs: [{ source_sentence: text, sentences }],
      parameters: {},
    } as const;
    expect(estimateUnits(compare, encoder)).toBe(101 * tokens);
    const examples = ["a", "b"].flatMap((name) =>
      Array.from({ length: 50 }, () => ({ text, label: name })),
    );
    const teach = {
      task: "few-shot-classification",
      inputs: [text],
      parameters: { examples },
    } as const;
    expect(estimateUnits(teach, encoder)).toBe(101 * tokens);
  });
});

describe("a text longer than the model reads", () => {
  const long = "abcde ".repeat(4_000);
  /** Two tokens a word. */
  const whole = 8_000;

  it("counts as the model's length", () => {
    const embed = { task: "feature-extraction", inputs: [long], parameters: {} } as const;
    expect(estimateUnits(embed, encoder)).toBe(256);
    const find = { task: "token-classification", inputs: [long], parameters: {} } as const;
    expect(estimateUnits(find, reader)).toBe(512);
  });

  it("counts whole where it is read in windows, with what they share and what stands beside", () => {
    const find = { task: "token-classification", inputs: [long] } as const;
    const room = 510;
    for (const stride of [0, 16, 255]) {
      const windows = Math.ceil((whole - room) / (room - stride)) + 1;
      const expected = whole + (windows - 1) * stride + 2 * windows;
      expect(estimateUnits({ ...find, parameters: { stride } }, reader)).toBe(expected);
    }
    // More than half a window is not shared.
    const most = estimateUnits({ ...find, parameters: { stride: 255 } }, reader);
    expect(estimateUnits({ ...find, parameters: { stride: 509 } }, reader)).toBe(most);
  });

  it("counts with the question once in each window", () => {
    const question = "ab ".repeat(60);
    const answer = { task: "question-answering", inputs: [{ question, context: long }] } as const;
    const ask = (parameters: object) => estimateUnits({ ...answer, parameters }, reader);
    const some = ask({});
    expect(some).toBeGreaterThan(whole * 1.5);
    // 100 tokens of a window, 64 or so of them the question's.
    expect(ask({ max_seq_len: 100 })).toBeGreaterThan(2 * some);
  });

  it("counts whole, and as it is, where it is only split or put together", () => {
    const split = { task: "tokenize", inputs: [long], parameters: {} } as const;
    expect(estimateUnits(split, reader)).toBe(whole + 2);
    const ids = Array.from({ length: 5_000 }, () => 7);
    const join = { task: "detokenize", inputs: [ids], parameters: {} } as const;
    expect(estimateUnits(join, reader)).toBe(5_002);
  });
});

const relate = (input: string) =>
  estimateUnits({ task: "relation-extraction", inputs: [input], parameters: {} }, reader);

describe("relations", () => {
  it("of a marked text take one reading, of any other one for its entities and one for each pair", () => {
    const marked = relate("<e1>Ann Lee</e1> met <e2>Bob</e2> in Rome.");
    const bare = relate("Ann Lee met Bob in Rome.");
    expect(marked).toBeLessThan(30);
    // Three entities make six ordered pairs.
    expect(bare % 7).toBe(0);
    expect(bare / 7).toBeGreaterThan(8);
  });
});

it("is never more than one request may hold", () => {
  const inputs = Array.from({ length: 2_048 }, () => text.repeat(100));
  expect(estimateUnits(classify(inputs), reader)).toBe(limits.tokensPerRequestMax);
});

it("is nothing where nothing is read", () => {
  expect(estimateUnits({ task: "noop", inputs: [text], parameters: {} }, reader)).toBe(0);
});

describe("token ids", () => {
  const ids = Array.from({ length: 20 }, (_, id) => id);
  const embed = (token_ids?: "model" | "cl100k_base" | "either") =>
    estimateUnits(
      {
        task: "feature-extraction",
        inputs: [ids, "ab"],
        parameters: token_ids === undefined ? {} : { token_ids },
      },
      encoder,
    );

  it("count as many as there are signs, of a run of signs that is one id, within the model's length", () => {
    // 32 dashes.
    const run = 1_434;
    const inputs = [[run], Array<number>(9).fill(run)];
    const parameters = { token_ids: "either" } as const;
    const call = { task: "feature-extraction", inputs, parameters } as const;
    expect(estimateUnits(call, encoder)).toBe(32 + 2 + 256);
  });

  it("count as they are where they are the model's own, as four where they may be another's", () => {
    const read = { own: 20 + 2, foreign: 4 * 20 + 2, text: 1 + 2 };
    for (const said of [undefined, "model"] as const) {
      expect(embed(said)).toBe(read.own + read.text);
    }
    for (const said of ["cl100k_base", "either"] as const) {
      expect(embed(said)).toBe(read.foreign + read.text);
    }
  });
});

it("counts what no model reads too: tokens made, and tokens given", () => {
  const made = { task: "tokenize", inputs: [text.repeat(1_000)], parameters: {} } as const;
  expect(estimateUnits(made, reader)).toBeGreaterThan(reader.limits?.maxTokens ?? 0);
  const given = { task: "detokenize" as const, inputs: [[1, 2, 3], [4]], parameters: {} };
  expect(estimateUnits(given, reader)).toBeGreaterThanOrEqual(4);
});
