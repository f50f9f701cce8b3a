/** The adapter against what the Python library answers on the same files: see made/make_fixtures.py. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Tokenizer, loadTokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import { existsSync } from "node:fs";

const made = path.join(import.meta.dirname, "made");
const embedded = path.resolve(
  import.meta.dirname,
  "../../gpu-worker/catalog/embedded/all-MiniLM-L6-v2",
);
const shared = path.resolve(import.meta.dirname, "../../../shared/models/references");
const present = existsSync(shared);
if (!present) console.warn(`skipped: ${shared} is not here`);

type Expected = {
  single: { ids: number[]; offsets: number[]; words: number[] }[];
  pairs: { first: number; second: number; ids: number[]; typeIds: number[] }[];
  /** Without special tokens, and with them. */
  decoded: [string, string][];
};

function read<T>(...names: string[]): T {
  return JSON.parse(readFileSync(path.join(made, ...names), "utf8"));
}

const texts = read<string[]>("texts.json");
/** Indices in `texts` of those that are decoded. */
const decodedTexts = [2, 4, 34];
const longText = texts.join(" ").repeat(10);

describe.each([
  ["minilm", { mask: "[MASK]", size: 30_522, single: 2, pair: 3 }],
  ["cased-bert", { mask: "[MASK]", size: 900, single: 2, pair: 3 }],
  ["roberta", { mask: "<mask>", size: 701, single: 2, pair: 4 }],
  ["xlm-roberta", { mask: "<mask>", size: 422, single: 2, pair: 4 }],
  ["deberta-v3", { mask: "[MASK]", size: 302, single: 2, pair: 3 }],
])("the tokenizer of %s", (name, { mask, size, single, pair }) => {
  const expected = read<Expected>(name, "expected.json");
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = await loadTokenizer(name === "minilm" ? embedded : path.join(made, name));
  });

  it("gives ids, offsets in UTF-16 units, and words, of text in many scripts", async () => {
    const encoded = await tokenizer.encode(texts, { offsets: true });
    const flat = encoded.map(({ ids, offsets, words }) => ({
      ids,
      offsets: offsets?.flat(),
      words,
    }));
    expect(flat).toEqual(expected.single);
    const bare = await tokenizer.encode(texts);
    expect(bare.map(({ ids }) => ids)).toEqual(encoded.map(({ ids }) => ids));
  });

  it("puts special tokens around one text and between two, and takes them off", async () => {
    const encoded = await tokenizer.encode(texts);
    for (const { first, second, ids, typeIds } of expected.pairs) {
      const [a, b] = [encoded[first]?.ids ?? [], encoded[second]?.ids ?? []];
      const wrapped = tokenizer.wrap(a, b);
      expect(wrapped).toMatchObject({ ids, typeIds });
      const [startA = 0, startB = 0] = wrapped.starts;
      expect(ids.slice(startA, startA + a.length)).toEqual(a);
      expect(ids.slice(startB, startB + b.length)).toEqual(b);
      expect(tokenizer.unwrap(tokenizer.wrap(a).ids)).toEqual(a);
      expect(tokenizer.unwrap(a)).toEqual(a);
      expect(tokenizer.isWrapped(tokenizer.wrap(a).ids)).toBe(true);
      for (const bare of [a, tokenizer.wrap(a).ids.slice(1), tokenizer.wrap(a).ids.slice(0, -1)]) {
        expect(tokenizer.isWrapped(bare)).toBe(false);
      }
    }
    expect(tokenizer.specialTokens).toEqual({ single, pair });
  });

  it("decodes, with and without special tokens", async () => {
    const encoded = await tokenizer.encode(decodedTexts.map((at) => texts[at] ?? ""));
    const decoded = encoded.map(({ ids }) => {
      const wrapped = tokenizer.wrap(ids).ids;
      return [tokenizer.decode(wrapped), tokenizer.decode(wrapped, { keepSpecialTokens: true })];
    });
    expect(decoded).toEqual(expected.decoded);
    expect(tokenizer.decode([])).toBe("");
  });

  it("encodes no more of a long text than is asked for, from either end", async () => {
    const [whole] = await tokenizer.encode([longText], { offsets: true });
    expect(whole?.complete).toBe(true);
    for (const [from, part] of [
      ["start", [0, 100]],
      ["end", [-100, undefined]],
    ] as const) {
      const [some] = await tokenizer.encode([longText], { offsets: true, tokensMax: 100, from });
      expect(some?.complete).toBe(false);
      expect(some?.ids.length).toBeGreaterThan(100);
      expect(some?.ids.length).toBeLessThan(whole?.ids.length ?? 0);
      expect(some?.ids.slice(...part)).toEqual(whole?.ids.slice(...part));
      expect(some?.offsets?.slice(...part)).toEqual(whole?.offsets?.slice(...part));
    }
  });

  it("knows its mask and its vocabulary's size", async () => {
    expect(tokenizer.mask?.text).toBe(mask);
    const [encoded] = await tokenizer.encode([`a ${mask}`]);
    expect(encoded?.ids.at(-1)).toBe(tokenizer.mask?.id);
    expect(tokenizer.vocabularySize).toBe(size);
  });

  it("ends with the signal's reason", async () => {
    const reason = new Error("nobody waits");
    const asked = tokenizer.encode(["a"], { signal: AbortSignal.abort(reason) });
    await expect(asked).rejects.toBe(reason);
  });
});

describe("texts that are almost nothing", () => {
  it.each([
    ["white space", " ".repeat(300_000), 0],
    ["white space and a word at its end", `${" ".repeat(300_000)}word`, 1],
    ["one endless word", "x".repeat(300_000), 1],
  ])("are read whole where few tokens are found: %s", async (_, text, count) => {
    const tokenizer = await loadTokenizer(embedded);
    const [encoded] = await tokenizer.encode([text], { tokensMax: 8 });
    expect(encoded).toMatchObject({ complete: true });
    expect(encoded?.ids).toHaveLength(count);
  });
});

it.skipIf(!present)("gives MiniLM's reference ids, past the file's own truncation", async () => {
  const file = path.join(shared, "minilm-embeddings.json");
  const references: { text: string; input_ids: number[] }[] = JSON.parse(
    readFileSync(file, "utf8"),
  );
  const tokenizer = await loadTokenizer(embedded);
  const encoded = await tokenizer.encode(references.map(({ text }) => text));
  const ids = encoded.map((text) => tokenizer.wrap(text.ids).ids);
  expect(ids).toEqual(references.map(({ input_ids }) => input_ids));
  expect(Math.max(...ids.map(({ length }) => length))).toBeGreaterThan(128);
});

async function idsOf(from: string): Promise<number[][]> {
  const encoded = await (await loadTokenizer(from)).encode(texts);
  return encoded.map(({ ids }) => ids);
}

describe("folders of old checkpoints, and of none", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "tokenizer-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  type Vocabulary = { model: { vocab: Record<string, number>; merges: (string | string[])[] } };

  it("a BERT's vocab.txt makes the tokenizer that its tokenizer.json says", async () => {
    const { model } = read<Vocabulary>("cased-bert", "tokenizer.json");
    const pieces = Object.entries(model.vocab).toSorted(([, a], [, b]) => a - b);
    writeFileSync(path.join(folder, "vocab.txt"), pieces.map(([piece]) => `${piece}\n`).join(""));
    const config = JSON.stringify({ do_lower_case: false });
    writeFileSync(path.join(folder, "tokenizer_config.json"), config);
    writeFileSync(path.join(folder, "config.json"), '{"model_type": "bert"}');
    expect(await idsOf(folder)).toEqual(await idsOf(path.join(made, "cased-bert")));
    rmSync(path.join(folder, "vocab.txt"));
  });

  it("a RoBERTa's vocab.json and merges.txt do", async () => {
    const { model } = read<Vocabulary>("roberta", "tokenizer.json");
    const vocab = { ...model.vocab, "<mask>": 700 };
    writeFileSync(path.join(folder, "config.json"), '{"model_type": "roberta"}');
    writeFileSync(path.join(folder, "vocab.json"), JSON.stringify(vocab));
    const lines = model.merges.map((merge) => (Array.isArray(merge) ? merge.join(" ") : merge));
    writeFileSync(path.join(folder, "merges.txt"), ["#version: 0.2", ...lines, ""].join("\n"));
    expect(await idsOf(folder)).toEqual(await idsOf(path.join(made, "roberta")));
    rmSync(path.join(folder, "merges.txt"));
  });

  it("fails to load from a folder without its file, naming it", async () => {
    await expect(loadTokenizer(folder)).rejects.toThrow(/tokenizer\.json/);
  });

  it("fails to load from a damaged file, naming it", async () => {
    writeFileSync(path.join(folder, "tokenizer.json"), "{");
    await expect(loadTokenizer(folder)).rejects.toThrow(/tokenizer\.json/);
    writeFileSync(path.join(folder, "tokenizer.json"), '{"model": {"type": "Nonsense"}}');
    await expect(loadTokenizer(folder)).rejects.toThrow(/tokenizer\.json/);
  });
});
