/** Tokens and their offsets, with the toy and with real tokenizers; and back to text. */
import { describe, expect, it } from "vitest";
import type { TaskParameters } from "../../contract/tasks.ts";
import { detokenize } from "../../gpu-worker/pipelines/detokenize.ts";
import { tokenize } from "../../gpu-worker/pipelines/tokenize.ts";
import { loadTokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import { textsInManyScripts, tokenizerFolders } from "./texts-in-many-scripts.ts";
import { type ToyModel, toyContext, toyModel, toyTokenizer } from "./toy-tagger.ts";

function reader(tokenizer = toyTokenizer()): ToyModel {
  return toyModel({ tokenizer, head: { name: "none" }, outputs: () => ({}) });
}

async function split(
  model: ToyModel,
  inputs: string[],
  parameters: TaskParameters<"tokenize"> = {},
) {
  return tokenize.answer({ task: "tokenize", inputs, parameters }, model, toyContext());
}

describe("tokenize", () => {
  it("gives ids, how many, and where each stands; special tokens stand nowhere", async () => {
    const tokenizer = toyTokenizer();
    const { outputs, usage } = await split(reader(tokenizer), ["😀 bridge", "a"]);
    const ids = ["[CLS]", "😀", "bri", "##dge", "[SEP]"].map(tokenizer.idOf);
    const offsets = [
      [0, 0],
      [0, 1],
      [2, 5],
      [5, 8],
      [0, 0],
    ];
    expect(outputs[0]).toEqual({ tokens: ids, count: 5, offsets });
    expect(outputs[1]?.count).toBe(3);
    expect(usage).toEqual({ promptTokens: 8 });
  });

  it("leaves special tokens out, and counts UTF-16 units, on demand", async () => {
    const { outputs } = await split(reader(), ["😀 bridge"], {
      add_special_tokens: false,
      offset_unit: "utf-16",
    });
    expect(outputs[0]).toMatchObject({
      count: 3,
      offsets: [
        [0, 2],
        [3, 6],
        [6, 9],
      ],
    });
  });

  it("reads texts longer than the model whole, and many of them, in order", async () => {
    const long = "x ".repeat(120_000);
    const { outputs, usage } = await split(reader(), [long, "a", long, "b b"]);
    expect(outputs.map(({ count }) => count)).toEqual([120_002, 3, 120_002, 4]);
    expect(usage).toEqual({ promptTokens: 240_011 });
  });

  it.each([
    ["one text", [".".repeat(1_000_000)], "inputs[0]"],
    ["several", ["a", ".".repeat(299_000), ". ".repeat(10_000)], "inputs"],
    ["special tokens alone", Array.from({ length: 150_001 }, () => " "), "inputs"],
  ])("refuses more tokens than a request may hold: %s", async (_, texts, param) => {
    await expect(split(reader(), texts)).rejects.toMatchObject({
      code: "context_length_exceeded",
      param,
      message: expect.stringContaining("300000 tokens"),
    });
  });

  it.each(tokenizerFolders)("gives offsets that select text, in order: %s", async (_, folder) => {
    const tokenizer = await loadTokenizer(folder);
    const model = toyModel({ tokenizer, head: { name: "none" }, outputs: () => ({}) });
    const texts = [...textsInManyScripts(200, 60)];
    const inPoints = (await split(model, texts, { add_special_tokens: false })).outputs;
    const inUnits = (
      await split(model, texts, { add_special_tokens: false, offset_unit: "utf-16" })
    ).outputs;
    for (const [index, text] of texts.entries()) {
      const units = inUnits[index]?.offsets ?? [];
      let last = 0;
      for (const [at, [start, end]] of (inPoints[index]?.offsets ?? []).entries()) {
        const [from, to] = units[at] ?? [0, 0];
        expect([...text].slice(start, end).join("")).toBe(text.slice(from, to));
        expect(start).toBeGreaterThanOrEqual(last);
        expect(end).toBeGreaterThanOrEqual(start);
        last = start;
      }
    }
  });
});

const join = (model: ToyModel, inputs: number[][], skip?: boolean) => {
  const parameters = skip === undefined ? {} : { skip_special_tokens: skip };
  return detokenize.answer({ task: "detokenize", inputs, parameters }, model, toyContext());
};

describe("detokenize", () => {
  it("puts the tokens of a text together again", async () => {
    const model = reader();
    const { outputs } = await split(model, ["the bridge", "a b"]);
    const tokens = outputs.map(({ tokens: ids }) => ids);
    const joined = await join(model, tokens);
    expect(joined.outputs).toEqual([{ text: "the bridge" }, { text: "a b" }]);
    expect(joined.usage).toEqual({ promptTokens: 5 + 4 });
    expect((await join(model, tokens, false)).outputs[1]).toEqual({ text: "[CLS] a b [SEP]" });
    expect((await join(model, [[]])).outputs).toEqual([{ text: "" }]);
  });

  it("refuses more tokens than a request may hold", async () => {
    const ids = Array.from({ length: 150_001 }, () => 5);
    await expect(join(reader(), [ids, ids])).rejects.toMatchObject({
      code: "context_length_exceeded",
      param: "inputs",
    });
  });

  it("refuses an id outside the vocabulary, naming it and its index", async () => {
    await expect(join(reader(), [[5], [1, 2, 1_000, 7]])).rejects.toMatchObject({
      code: "invalid_value",
      param: "inputs[1][2]",
      message: expect.stringMatching(/1000.*end at 999/),
    });
  });
});
