/** Bare vocabularies, and tokens that files beside them add, against transformers' AutoTokenizer: made/make_bare.py. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadTokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";

const made = path.join(import.meta.dirname, "made");
const root = mkdtempSync(path.join(tmpdir(), "bare-"));
afterAll(() => rmSync(root, { recursive: true }));

type Files = Record<string, unknown>;
type Case = {
  name: string;
  vocabulary: string;
  files: Files;
  ids: number[][];
  pair: { ids: number[]; typeIds: number[] };
  decoded: [string, string];
};

function read<T>(...names: string[]): T {
  return JSON.parse(readFileSync(path.join(made, ...names), "utf8"));
}

type Model = { model: { vocab: Record<string, number>; merges: (string | string[])[] } };

function vocabularyFiles(name: string): Record<string, string> {
  if (name === "tokenizer.json") {
    return { [name]: readFileSync(path.join(made, "roberta", name), "utf8") };
  }
  const { model } = read<Model>(name, "tokenizer.json");
  if (name === "cased-bert") {
    const pieces = Object.entries(model.vocab).toSorted(([, a], [, b]) => a - b);
    return { "vocab.txt": pieces.map(([piece]) => `${piece}\n`).join("") };
  }
  const lines = model.merges.map((merge) => (Array.isArray(merge) ? merge.join(" ") : merge));
  return {
    "vocab.json": JSON.stringify({ ...model.vocab, "<mask>": Object.keys(model.vocab).length }),
    "merges.txt": ["#version: 0.2", ...lines, ""].join("\n"),
  };
}

let count = 0;

/** @param files beside the vocabulary, or in its place */
function folderOf(vocabulary: string, files: Files): string {
  const folder = path.join(root, `made-${(count += 1)}`);
  mkdirSync(folder);
  for (const [name, content] of Object.entries({ ...vocabularyFiles(vocabulary), ...files })) {
    const text = typeof content === "string" ? content : JSON.stringify(content);
    writeFileSync(path.join(folder, name), text);
  }
  return folder;
}

describe("ids are transformers'", () => {
  const { texts, cases } = read<{ texts: string[]; cases: Case[] }>("bare.json");

  it.each(cases.map((each) => [each.name, each] as const))("%s", async (_, each) => {
    const tokenizer = await loadTokenizer(folderOf(each.vocabulary, each.files));
    const encoded = await tokenizer.encode(texts);
    const ids = encoded.map((text) => tokenizer.wrap(text.ids).ids);
    expect(ids).toEqual(each.ids);
    const [first, second] = [encoded[2]?.ids ?? [], encoded.at(-1)?.ids ?? []];
    expect(tokenizer.wrap(first, second)).toMatchObject(each.pair);
    const last = [ids.at(-1) ?? []];
    const kept = await tokenizer.decodeAll(last, { keepSpecialTokens: true });
    expect([...kept, ...(await tokenizer.decodeAll(last))]).toEqual(each.decoded);
  });
});

const bert = { "config.json": { model_type: "bert" } };

describe("refused with the name of what is wrong", () => {
  it.each<[string, string, Files, RegExp]>([
    [
      "a Japanese tokenizer of config.json",
      "cased-bert",
      { "config.json": { model_type: "bert", tokenizer_class: "BertJapaneseTokenizer" } },
      /tokenizer_class BertJapaneseTokenizer is not read from a bare vocabulary/,
    ],
    [
      "a Japanese tokenizer of tokenizer_config.json",
      "cased-bert",
      { ...bert, "tokenizer_config.json": { tokenizer_class: "BertJapaneseTokenizer" } },
      /BertJapaneseTokenizer/,
    ],
    [
      "a tokenizer that splits words with MeCab and names no class",
      "cased-bert",
      { ...bert, "tokenizer_config.json": { word_tokenizer_type: "mecab" } },
      /BertJapaneseTokenizer/,
    ],
    [
      "a vocab.txt that is no WordPiece's",
      "cased-bert",
      { "config.json": { model_type: "roberta", tokenizer_class: "PhobertTokenizer" } },
      /PhobertTokenizer/,
    ],
    [
      "an unknown class",
      "roberta",
      { ...bert, "tokenizer_config.json": { tokenizer_class: "MyOwnTokenizerFast" } },
      /tokenizer_class MyOwnTokenizer is not read/,
    ],
    [
      "a family whose class it does not know",
      "cased-bert",
      { "config.json": { model_type: "mpnet" } },
      /names its tokenizer_class, and model_type mpnet does not tell it/,
    ],
    [
      "a sentencepiece model",
      "cased-bert",
      { "config.json": { model_type: "xlm-roberta", tokenizer_class: "XLMRobertaTokenizer" } },
      /XLMRobertaTokenizer.*tokenizer\.json/,
    ],
    [
      "the files of another class",
      "roberta",
      { ...bert, "tokenizer_config.json": { tokenizer_class: "BertTokenizer" } },
      /neither tokenizer\.json nor the vocab\.txt of a BertTokenizer/,
    ],
    [
      "a vocabulary without a special token",
      "cased-bert",
      { ...bert, "vocab.txt": "[PAD]\n[UNK]\n[CLS]\na\n" },
      /lacks \[SEP\] \(sep_token\), \[MASK\] \(mask_token\)/,
    ],
    [
      "special tokens of another vocabulary",
      "roberta",
      {
        "config.json": { model_type: "roberta" },
        "special_tokens_map.json": { cls_token: "[CLS]" },
      },
      /lacks \[CLS\] \(cls_token\)/,
    ],
    [
      "an added token under an id that the vocabulary does not give it",
      "cased-bert",
      { ...bert, "added_tokens.json": { covid: 905 } },
      /added token covid is said to have the id 905, but the vocabulary gives it 900/,
    ],
    [
      "an added token of tokenizer_config.json that is another word's",
      "tokenizer.json",
      {
        ...bert,
        "tokenizer_config.json": { added_tokens_decoder: { "12": { content: "covid" } } },
      },
      /added token covid is said to have the id 12/,
    ],
    [
      "a tokenizer.json that lacks its own unknown token",
      "tokenizer.json",
      {
        ...bert,
        "tokenizer.json": {
          model: { type: "WordPiece", unk_token: "[UNK]", vocab: { a: 0 } },
          added_tokens: [],
        },
      },
      /its vocabulary lacks its unk_token \[UNK\]/,
    ],
    [
      "a tokenizer.json that has no place for a second text",
      "tokenizer.json",
      {
        ...bert,
        "tokenizer.json": {
          model: {
            type: "WordPiece",
            unk_token: "[UNK]",
            continuing_subword_prefix: "##",
            max_input_chars_per_word: 100,
            vocab: { a: 0, "[UNK]": 1 },
          },
          post_processor: {
            type: "TemplateProcessing",
            single: [{ Sequence: { id: "A", type_id: 0 } }],
            pair: [],
            special_tokens: {},
          },
        },
      },
      /post_processor leaves out a text/,
    ],
  ])("%s", async (_, vocabulary, files, message) => {
    await expect(loadTokenizer(folderOf(vocabulary, files))).rejects.toThrow(message);
  });

  it("but not a special token that the files say there is none of", async () => {
    const files = {
      ...bert,
      "vocab.txt": "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n",
      "special_tokens_map.json": { mask_token: null },
    };
    const tokenizer = await loadTokenizer(folderOf("cased-bert", files));
    const [encoded] = await tokenizer.encode(["a z"]);
    expect(tokenizer.wrap(encoded?.ids ?? []).ids).toEqual([2, 4, 1, 3]);
    expect(tokenizer).toMatchObject({ mask: null, unknownId: 1, paddingId: 0 });
  });
});
