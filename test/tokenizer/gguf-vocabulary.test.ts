/** The tokenizer of a GGUF file against the libraries of its kind: see made/gguf/make_vocabularies.py. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { filesOfGguf, type GgufVocabulary } from "../../gpu-worker/tokenizer/gguf-vocabulary.ts";
import { makeTokenizer, type Tokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import { openGgufCheckpoint } from "../../gpu-worker/weights/gguf-checkpoint.ts";

type Written = Omit<GgufVocabulary, "ggml.scores" | "ggml.token_type"> & {
  "ggml.scores"?: number[];
  "ggml.token_type": number[];
};
type Case = {
  metadata: Written;
  /** Of each text; null: the library has no answer. */
  ids: (number[] | null)[];
  decoded: (string | null)[];
  llamaCpp: number[][];
};
const file = path.join(import.meta.dirname, "made/gguf/vocabularies.json");
const made: { texts: string[]; cases: Record<string, Case> } = JSON.parse(
  readFileSync(file, "utf8"),
);

function metadataOf(name: string): GgufVocabulary {
  const found = made.cases[name]?.metadata;
  if (found === undefined) throw new Error(`${name} is not made`);
  const { "ggml.scores": scores, "ggml.token_type": types, ...rest } = found;
  return {
    ...rest,
    "ggml.scores": scores && Float32Array.from(scores),
    "ggml.token_type": Int32Array.from(types),
  };
}

async function open(name: string, changes: Partial<GgufVocabulary> = {}): Promise<Tokenizer> {
  return await makeTokenizer(await filesOfGguf({ ...metadataOf(name), ...changes }));
}

const whole = Object.entries(made.cases);
describe.each(whole)("the GGUF vocabulary of %s", (name, { ids, decoded, llamaCpp }) => {
  const texts = made.texts.filter((_, at) => ids[at] !== null);
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = await open(name);
  });

  it("gives the ids of the family's own library", async () => {
    const encoded = await tokenizer.encode(texts);
    const found = Object.fromEntries(encoded.map((each, at) => [texts[at], each.ids]));
    const expected = ids.filter((each) => each !== null);
    expect(found).toEqual(Object.fromEntries(expected.map((each, at) => [texts[at], each])));
  });

  it("has the bytes of a text in its tokens, one by one", async () => {
    // SentencePiece reads its sign for a space as one.
    const plain = made.texts.filter((text) => text !== "" && !text.includes("\u2581"));
    for (const [at, each] of (await tokenizer.encode(plain)).entries()) {
      const bytes = each.ids.map((id) => {
        const token = tokenizer.token(id);
        return Buffer.from(token?.bytes ?? token?.text ?? "");
      });
      const text = plain[at] ?? "";
      // Qwen's tokenizer composes characters; Llama's puts a space before each piece between special tokens.
      const read = name === "qwen2" ? text.normalize("NFC") : text;
      const spaces = name === "llama" ? " " : "";
      const own = Buffer.concat(bytes).toString();
      expect(own.replaceAll(spaces, "")).toBe(read.replaceAll(spaces, ""));
    }
    expect(tokenizer.token(tokenizer.vocabularySize)).toBeNull();
  });

  it("gives the ids of llama.cpp, which does not normalise for Qwen 2", async () => {
    const encoded = await tokenizer.encode(made.texts);
    const other = made.texts.filter(
      (_, at) => JSON.stringify(encoded[at]?.ids) !== JSON.stringify(llamaCpp[at]),
    );
    expect(other).toEqual(name === "qwen2" ? ["e\u0301tude cafe\u0301"] : []);
  });

  it("gives the text back", () => {
    for (const [at, each] of ids.entries()) {
      if (each === null) continue;
      expect(tokenizer.decode(each, { keepSpecialTokens: true })).toBe(decoded[at]);
    }
  });
});

async function wrapped(name: string, changes: Partial<GgufVocabulary>) {
  const tokenizer = await open(name, changes);
  return { single: tokenizer.wrap([7]).ids, pair: tokenizer.wrap([7], [8]).ids };
}

describe("what a GGUF file says of its special tokens", () => {
  it("puts them around a text where it says so, else as the kind has it", async () => {
    const { "ggml.bos_token_id": bos, "ggml.eos_token_id": eos } = metadataOf("llama");
    expect(await wrapped("llama", {})).toEqual({ single: [bos, 7], pair: [bos, 7, bos, 8] });
    const both = { "ggml.add_bos_token": true, "ggml.add_eos_token": true };
    expect((await wrapped("llama", both)).single).toEqual([bos, 7, eos]);
    const neither = { "ggml.add_bos_token": false, "ggml.add_eos_token": false };
    expect(await wrapped("llama", neither)).toEqual({ single: [7], pair: [7, 8] });
    const start = metadataOf("llama-bpe")["ggml.bos_token_id"];
    expect((await wrapped("llama-bpe", {})).single).toEqual([start, 7]);
    expect((await wrapped("qwen2", {})).single).toEqual([7]);
  });

  it("puts a space before a text unless it says otherwise", async () => {
    const [said, unsaid, not] = await Promise.all(
      [true, undefined, false].map((prefix) => open("llama", { "ggml.add_space_prefix": prefix })),
    );
    const ids = await Promise.all([said, unsaid, not].map((each) => each?.encode(["Hello"])));
    expect(ids[1]).toEqual(ids[0]);
    expect(ids[2]).not.toEqual(ids[0]);
  });

  it("leaves tokens of control out of what is decoded, and keeps those that a user defined", async () => {
    const tokenizer = await open("smollm");
    const [encoded] = await tokenizer.encode(["<|im_start|>hi <tool_call>x</tool_call><|im_end|>"]);
    expect(tokenizer.decode(encoded?.ids ?? [])).toBe("hi <tool_call>x</tool_call>");
  });

  it("knows the unknown token and padding", async () => {
    const pad = { "ggml.padding_token_id": 5 };
    expect(await open("llama", pad)).toMatchObject({ unknownId: 0, paddingId: 5 });
  });
});

describe("a GGUF file whose tokenizer is not known", () => {
  it.each<[string, Partial<GgufVocabulary>, RegExp]>([
    ["pre", { "ggml.pre": "tekken" }, /"tekken": only default, gpt-2, smollm, qwen2, .*llama-bpe/],
    ["pre of an object's own", { "ggml.pre": "toString" }, /"toString"/],
    ["no pre", { "ggml.pre": undefined }, /names no tokenizer\.ggml\.pre .*convert it again/],
    ["kind", { "ggml.model": "t5" }, /tokenizer is a "t5": only gpt2 and llama/],
    ["no merges", { "ggml.merges": undefined }, /no tokenizer\.ggml\.merges/],
    ["no scores", { "ggml.model": "llama" }, /no tokenizer\.ggml\.scores/],
    ["an id of no token", { "ggml.eos_token_id": 9_999 }, /eos_token_id 9999 is of no token/],
    ["a token twice", { "ggml.tokens": ["a", "b", "a"] }, /the token "a" twice: 0 and 2/],
    [
      "a token to add that is none",
      { "ggml.add_bos_token": true, "ggml.bos_token_id": undefined },
      /adds a bos_token to each text and has none/,
    ],
  ])("is refused: %s", async (_, changes, message) => {
    await expect(open("gpt-2", changes)).rejects.toThrow(message);
  });
});

const models = path.resolve(import.meta.dirname, "../../../shared/models");
const smollm2 = path.join(models, "SmolLM2-135M-Instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
const present = existsSync(smollm2);
if (!present) console.info("Skipped: SmolLM2 in ../shared/models, which is not on this machine");

describe.skipIf(!present)("SmolLM2's own GGUF file", () => {
  it("gives the ids of the reference prompts, and the prompts of the ids", async () => {
    const references = path.join(models, "references/smollm2-logits.json");
    type Chat = { prompt: string; input_ids: number[]; greedy_ids: number[]; greedy_text: string };
    const chats: Chat[] = JSON.parse(readFileSync(references, "utf8"));
    const metadata = openGgufCheckpoint(smollm2).tokenizer;
    if (metadata === null) throw new Error("the file has no tokenizer");
    const tokenizer = await makeTokenizer(await filesOfGguf(metadata));
    const encoded = await tokenizer.encode(chats.map(({ prompt }) => prompt));
    expect(encoded.map(({ ids }) => ids)).toEqual(chats.map(({ input_ids: ids }) => ids));
    const decoded = chats.map(({ input_ids: ids }) =>
      tokenizer.decode(ids, { keepSpecialTokens: true }),
    );
    expect(decoded).toEqual(chats.map(({ prompt }) => prompt));
    const answers = chats.map(({ greedy_ids: ids }) => tokenizer.decode(ids));
    expect(answers).toEqual(chats.map(({ greedy_text: text }) => text));
  });
});
