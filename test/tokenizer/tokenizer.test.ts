/** The adapter against ids computed by the Python library on the same files. */
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { type Tokenizer, loadTokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";

const shared = path.resolve(import.meta.dirname, "../../../shared/models");
const folder = path.join(shared, "all-MiniLM-L6-v2");
const present = existsSync(folder);
if (!present) console.warn(`skipped: ${folder} is not here`);

type Reference = { text: string; input_ids: number[] };

describe.skipIf(!present)("the tokenizer of all-MiniLM-L6-v2", () => {
  let tokenizer: Tokenizer;
  let references: Reference[];

  beforeAll(async () => {
    tokenizer = await loadTokenizer(folder);
    const file = path.join(shared, "references/minilm-embeddings.json");
    references = JSON.parse(readFileSync(file, "utf8"));
  });

  it("gives the reference ids, longer than the file's own truncation and without its padding", () => {
    expect(references.length).toBeGreaterThan(0);
    for (const { text, input_ids: ids } of references) {
      expect(tokenizer.encode(text, { addSpecialTokens: true }).ids).toEqual(ids);
    }
    const longest = Math.max(...references.map((reference) => reference.input_ids.length));
    expect(longest).toBeGreaterThan(128);
  });

  it("puts special tokens around ids and takes them off", () => {
    for (const { text, input_ids: ids } of references) {
      const bare = tokenizer.encode(text, { addSpecialTokens: false }).ids;
      expect(tokenizer.wrap(bare)).toEqual(ids);
      expect(tokenizer.unwrap(ids)).toEqual(bare);
      expect(tokenizer.unwrap(bare)).toEqual(bare);
    }
    expect(tokenizer.specialTokens).toBe(2);
  });

  it("splits a text so that the pieces' ids are those of the whole", () => {
    const whole = references.map((reference) => reference.text).join(" ") + "漢字".repeat(300);
    const pieces = tokenizer.split(whole, 64);
    expect(pieces.length).toBeGreaterThan(10);
    expect(pieces.join("")).toBe(whole);
    const ids = pieces.flatMap((piece) => tokenizer.encode(piece, { addSpecialTokens: false }).ids);
    expect(ids).toEqual(tokenizer.encode(whole, { addSpecialTokens: false }).ids);
  });

  it("decodes ids to their text, without special tokens", () => {
    const { ids } = tokenizer.encode("Hello there", { addSpecialTokens: true });
    expect(tokenizer.decode(ids)).toBe("hello there");
    expect(tokenizer.decode([])).toBe("");
  });

  it("knows the vocabulary's size and one segment id per token", () => {
    expect(tokenizer.vocabularySize).toBe(30_522);
    const { ids, typeIds } = tokenizer.encode("one text", { addSpecialTokens: true });
    expect(typeIds).toEqual(ids.map(() => 0));
  });
});

describe("a byte-level tokenizer", () => {
  it("is not split, because its tokens reach across white space", async () => {
    const made = await mkdtemp(path.join(tmpdir(), "tokenizer-"));
    try {
      const file = {
        model: { type: "BPE", vocab: { a: 0, Ġ: 1, Ġa: 2 }, merges: ["Ġ a"] },
        normalizer: null,
        pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
        post_processor: null,
        decoder: { type: "ByteLevel" },
        added_tokens: [],
      };
      await writeFile(path.join(made, "tokenizer.json"), JSON.stringify(file));
      const tokenizer = await loadTokenizer(made);
      expect(tokenizer.split("a a a a", 2)).toEqual(["a a a a"]);
      expect(tokenizer.encode("a a", { addSpecialTokens: true }).ids).toEqual([0, 2]);
      expect(tokenizer.wrap([0, 2])).toEqual([0, 2]);
    } finally {
      await rm(made, { recursive: true });
    }
  });

  it("fails to load from a folder without its file, naming it", async () => {
    const made = await mkdtemp(path.join(tmpdir(), "tokenizer-"));
    await expect(loadTokenizer(made)).rejects.toThrow(/tokenizer\.json/);
    await rm(made, { recursive: true });
  });
});
