/** Tagged texts as rows: first tokens of words, and long texts cut. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadTokenizer, type Tokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import { encodeTagged, type TaggedExample } from "../../gpu-worker/training/token-rows.ts";
import { heldOutTags, tagsOf, tagTask } from "../../gpu-worker/training/token-tags.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { never } from "../catalog/catalog-bench.ts";

let folder: string;
let tokenizer: Tokenizer;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "token-rows-"));
  await writeTinyEncoder(folder);
  tokenizer = await loadTokenizer(folder);
});

afterAll(() => rm(folder, { recursive: true }));

const encode = (examples: readonly TaggedExample[], maxTokens = 16) =>
  encodeTagged(examples, { tokenizer, limits: { maxTokens } }, never);

const tagged = (tokens: string[], tags: string[]): TaggedExample => ({
  form: "tags",
  line: { tokens, tags },
});

/** Ids of the tiny tokenizer. */
const [cls, sep, a, quick, fox, s] = [2, 3, 5, 6, 8, 9];
const labels = tagsOf(["X"]);
const feedOf = (tensor: { data: ArrayLike<number | bigint> } | undefined) =>
  Array.from(tensor?.data ?? [], Number);

it("gives a word's tag to its first token, and to no other", async () => {
  const texts = await encode([
    tagged(["a", "foxs", "quick"], ["O", "B-X", "I-X"]),
    tagged(["a"], ["O"]),
  ]);
  expect(texts[0]?.rows[0]?.ids).toEqual([cls, a, fox, s, quick, sep]);
  const { rows, data } = tagTask(texts, labels);
  expect(rows).toHaveLength(2);
  const none = -100;
  const first = [none, 0, 1, none, 2, none];
  expect(feedOf(data.feeds([0, 1], 6, 0)["labels"])).toEqual([
    ...first,
    none,
    0,
    none,
    none,
    none,
    none,
  ]);
});

it("passes over words that the tokenizer drops, and answers them with O", async () => {
  const texts = await encode([tagged(["\u200b", "fox", "\u200b"], ["B-X", "B-X", "I-X"])]);
  expect(texts[0]?.rows[0]?.firsts).toEqual([{ word: 1, token: 1 }]);
  const { data } = heldOutTags(texts, labels, texts);
  const logits = Float32Array.from([9, 0, 0, 0, 9, 0, 9, 0, 0]);
  expect(data.judge([logits])).toMatchObject({
    kind: "tags",
    expected: [["B-X", "B-X", "I-X"]],
    tuned: { values: [["O", "B-X", "O"]] },
    base: { values: [["B-X", "B-X", "B-X"]] },
  });
});

it("reads entities of a text by the words of the tokenizer", async () => {
  const line = { text: "😀 quick foxs a", entities: [{ start: 2, end: 12, label: "X" }] };
  const [text] = await encode([{ form: "spans", line }]);
  expect(text?.tags).toEqual(["O", "B-X", "I-X", "O"]);
  expect(text?.rows[0]?.firsts.map(({ token }) => token)).toEqual([1, 2, 3, 5]);
});

it("labels letters rather than signs that stand for a word's beginning", async () => {
  const files = path.resolve(import.meta.dirname, "../checkpoints/library-checkpoints");
  const signs = await loadTokenizer(path.join(files, "xlm-roberta-tags"));
  const model = { tokenizer: signs, limits: { maxTokens: 64 } };
  const [text] = await encodeTagged([tagged(["Ada", "zxq"], ["B-X", "O"])], model, never);
  const row = text?.rows[0];
  const pieces = row?.firsts.map(({ token }) => signs.token(row.ids[token] ?? 0)?.text);
  expect(pieces).toEqual(["A", "z"]);
  const line = { text: " Ada  zxq ", entities: [{ start: 1, end: 4, label: "X" }] };
  const [whole] = await encodeTagged([{ form: "spans", line }], model, never);
  const entity = whole?.tags.filter((tag) => tag !== "O");
  expect(entity?.filter((tag) => tag === "B-X")).toHaveLength(1);
  expect(new Set(whole?.rows[0]?.firsts.map(({ token }) => token)).size).toBe(whole?.tags.length);
});

it("cuts a text that is longer than the model, and puts its answers together", async () => {
  const tokens = ["a", "quick", "foxs", "a", "fox"];
  const texts = await encode(
    [tagged(tokens, ["O", "O", "B-X", "O", "B-X"]), tagged(["a"], ["O"])],
    5,
  );
  expect(texts[0]?.rows.map(({ ids }) => ids)).toEqual([
    [cls, a, quick, fox, sep],
    [cls, s, a, fox, sep],
  ]);
  const { rows, data } = heldOutTags(texts, labels, texts);
  const said = [1, 0, 1, 0, 0, 0, 2, 0, 1, 0, 1, 0, 2, 0, 0];
  const logits = rows.map((_, row) => {
    const classes = said.slice(row * 5, row * 5 + 5);
    return Float32Array.from(
      classes.flatMap((best) => labels.map((__, at) => Number(at === best))),
    );
  });
  expect(data.judge(logits)).toMatchObject({
    tuned: { values: [["O", "B-X", "O", "O", "B-X"], ["O"]] },
  });
});
