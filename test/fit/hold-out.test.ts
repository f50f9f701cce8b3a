/** Which texts judge a head: whole ones, and none whose parts have trained it. */
import { describe, expect, it } from "vitest";
import { holdOut } from "../../gpu-worker/fit/hold-out.ts";

const sentences = Array.from({ length: 40 }, (_, at) => {
  const word = `w${at}`;
  return `${word} is a word that stands in ${word} sentence alone`;
});
const phrases = sentences.flatMap((sentence) => {
  const words = sentence.split(" ");
  return [words.slice(0, 1).join(" "), words.slice(5, 9).join(" "), sentence.toUpperCase()];
});
const texts = [...phrases, ...sentences];
const options = { share: 0.25, most: 100 };

function chosen(list: string[]): Set<string | undefined> {
  return new Set(holdOut(list, options).heldOut.map((at) => list[at]?.toLowerCase()));
}

describe("holdOut", () => {
  it("holds out a share of the whole texts, and trains on nothing that is part of one", () => {
    const { heldOut, training } = holdOut(texts, options);
    expect(heldOut).toHaveLength(10);
    const held = heldOut.map((at) => (texts[at] ?? "").toLowerCase());
    expect(held.every((text) => text.split(" ").length === 10)).toBe(true);
    for (const at of training) {
      const part = ` ${texts[at]?.toLowerCase()} `;
      expect(held.some((whole) => ` ${whole} `.includes(part))).toBe(false);
    }
    // All that belongs to another sentence does train: sentence, its twin in capitals, and two phrases.
    expect(training).toHaveLength(30 * 4);
  });

  it("holds out the same texts in whatever order they stand", () => {
    const backwards = texts.toReversed();
    expect(chosen(backwards)).toEqual(chosen(texts));
  });

  it("holds out no more than the most", () => {
    expect(holdOut(texts, { share: 0.9, most: 7 }).heldOut).toHaveLength(7);
  });

  it("does not take words that begin alike for a part", () => {
    const { training, heldOut } = holdOut(["a catalogue", "cat"], { share: 1, most: 1 });
    expect([...heldOut, ...training]).toHaveLength(2);
  });
});
