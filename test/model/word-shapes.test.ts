/** Words' shapes against a second implementation, in Python (made/make_word_shapes.py), and where tokens get them. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import * as z from "zod";
import {
  rowShapes,
  shapesOf,
  type WordShape,
  wordShape,
  wordShapes,
} from "../../gpu-worker/model/word-shapes.ts";

const file = path.join(import.meta.dirname, "made/word-shapes.json");
const expected = z
  .record(z.string(), z.enum(wordShapes))
  .parse(JSON.parse(readFileSync(file, "utf8")));

it("are those that Python finds", () => {
  const words = Object.keys(expected);
  expect(new Set(Object.values(expected))).toEqual(new Set(wordShapes));
  expect(Object.fromEntries(words.map((word) => [word, wordShape(word)]))).toEqual(expected);
});

const row = (shape: WordShape) => wordShapes.indexOf(shape);

it("are of a token's whole word, and none of special tokens", () => {
  const text = "McDonald ate 12";
  const shapes = shapesOf({
    text,
    // mc, ##donald, ate, 12
    offsets: [
      [0, 2],
      [2, 8],
      [9, 12],
      [13, 15],
    ],
    words: [0, 0, 1, 2],
  });
  expect(shapes).toEqual([row("mixed"), row("mixed"), row("lower"), row("digits")]);
  const special = row("special");
  expect(rowShapes(shapes, { start: 1, length: 6 })).toEqual([special, ...shapes, special]);
});
