/** IOB2 tags and spans, against each other. */
import { expect, it } from "vitest";
import { alignSpans } from "../../gpu-worker/datasets/align-spans.ts";
import { codePointsIn } from "../../gpu-worker/datasets/code-points.ts";
import { entityLabels, tagFaults } from "../../gpu-worker/datasets/iob2.ts";
import { loadTokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import { embeddedFolder } from "./embedded-folder.ts";

const codes = (...tags: string[]) =>
  tagFaults(tags).map(({ token, expected }) => `${token} ${expected ?? ""}`);

it("takes IOB2, and says what to write for what is IOB1", () => {
  expect(codes("O", "B-X", "I-X", "B-X", "B-Y", "I-Y", "O")).toEqual([]);
  expect(codes("I-X", "I-X", "O", "I-Y", "B-Y", "I-X")).toEqual(["0 B-X", "3 B-Y", "5 B-X"]);
  expect(codes("o", "B", "B-", "X", "")).toHaveLength(5);
  expect(codes("B-a-b", "I-a-b")).toEqual([]);
  expect(entityLabels(["B-X", "I-X", "B-X", "O", "B-Y"])).toEqual(["X", "X", "Y"]);
});

/** Words of a text, `[start, end)`. */
const wordsOf = (text: string) =>
  [...text.matchAll(/\S+/g)].map(({ 0: word, index }) => [index, index + word.length] as const);

it("gives the words of a span its label, counted in code points", () => {
  const text = "😀 Ada Lovelace in London";
  const entities = [
    { start: 2, end: 14, label: "PER" },
    { start: 18, end: 24, label: "LOC" },
  ];
  expect(alignSpans(text, entities, wordsOf(text))).toEqual({
    tags: ["O", "B-PER", "I-PER", "O", "B-LOC"],
    cut: [],
    lost: [],
  });
});

it("takes a token whole that a border cuts, and says so; white space at the ends cuts nothing", () => {
  const text = "a New York-based firm";
  const cut = alignSpans(text, [{ start: 2, end: 10, label: "LOC" }], wordsOf(text));
  expect(cut).toEqual({ tags: ["O", "B-LOC", "I-LOC", "O"], cut: [0], lost: [] });
  const wide = alignSpans(text, [{ start: 1, end: 6, label: "LOC" }], wordsOf(text));
  expect(wide).toEqual({ tags: ["O", "B-LOC", "O", "O"], cut: [], lost: [] });
});

it("gives a token to the entity with more of it, and names one that gets none", () => {
  const text = "abcdef";
  const entities = [
    { start: 0, end: 2, label: "X" },
    { start: 2, end: 6, label: "Y" },
  ];
  expect(alignSpans(text, entities, [[0, 6]])).toEqual({ tags: ["B-Y"], cut: [0, 1], lost: [0] });
  const equal = [
    { start: 0, end: 3, label: "X" },
    { start: 3, end: 6, label: "Y" },
  ];
  expect(alignSpans(text, equal, [[0, 6]]).tags).toEqual(["B-X"]);
  expect(alignSpans(text, equal, []).lost).toEqual([0, 1]);
});

it("finds in a real tokenizer's tokens the very text of each span", async () => {
  const tokenizer = await loadTokenizer(embeddedFolder);
  const text = "Zoë moved from Reykjavík to Ljubljana-Center, 😀 said Ngũgĩ wa Thiong'o.";
  const names = ["Zoë", "Reykjavík", "Ljubljana", "Ngũgĩ wa Thiong'o"];
  const entities = names.map((name) => {
    const start = codePointsIn(text.slice(0, text.indexOf(name)));
    return { start, end: start + codePointsIn(name), label: "X" };
  });
  const [encoding] = await tokenizer.encode([text], { offsets: true });
  const offsets = encoding?.offsets ?? [];
  const { tags, cut, lost } = alignSpans(text, entities, offsets);
  expect({ cut, lost }).toEqual({ cut: [], lost: [] });
  const found: (readonly [number, number])[] = [];
  for (const [at, tag] of tags.entries()) {
    const [start, end] = offsets[at] ?? [0, 0];
    if (tag === "B-X") found.push([start, end]);
    else if (tag === "I-X") found.push([found.pop()?.[0] ?? start, end]);
  }
  expect(found.map(([start, end]) => text.slice(start, end))).toEqual(names);
});
