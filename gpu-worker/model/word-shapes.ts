/**
 * The shape of each token's word, which a vocabulary in lower case loses: rows of a table that is trained and added to
 * the word embeddings (architectures/embedding.ts). A word is what the tokenizer splits by, so that texts and lists of
 * words give the same shapes. Pure.
 */
/** By row of the table. The first is that of special tokens, and of words without a sign that counts. */
export const wordShapes = [
  "special",
  "digits",
  "with digits",
  "punctuation",
  "lower",
  "upper",
  "capital",
  "title",
  "mixed",
] as const;
export type WordShape = (typeof wordShapes)[number];

const digit = /\p{N}/u;
const letter = /\p{L}/u;
const lower = /\p{Ll}/u;
const upper = /[\p{Lu}\p{Lt}]/u;

/** Letters without case, as of Chinese, count as lower ones. */
export function wordShape(word: string): WordShape {
  const signs = [...word];
  if (word.trim() === "") return "special";
  const letters = signs.filter((sign) => letter.test(sign));
  if (digit.test(word)) return letters.length === 0 ? "digits" : "with digits";
  if (letters.length === 0) return "punctuation";
  if (!upper.test(word)) return "lower";
  if (!letters.some((sign) => lower.test(sign))) return letters.length === 1 ? "capital" : "upper";
  const [first = "", ...rest] = letters;
  return upper.test(first) && !upper.test(rest.join("")) ? "title" : "mixed";
}

type Tokens = {
  readonly text: string;
  /** Of each token, UTF-16 code units. */
  readonly offsets: readonly (readonly [number, number])[];
  /** Which word each token is part of. */
  readonly words: readonly number[];
};

/** Rows of the table, of a text's tokens. */
export function shapesOf({ text, offsets, words }: Tokens): number[] {
  const spans = new Map<number, [number, number]>();
  for (const [at, [start, end]] of offsets.entries()) {
    const word = words[at] ?? at;
    const before = spans.get(word);
    spans.set(word, before === undefined ? [start, end] : [before[0], Math.max(before[1], end)]);
  }
  const rows = new Map<number, number>();
  for (const [word, [start, end]] of spans) {
    rows.set(word, wordShapes.indexOf(wordShape(text.slice(start, end))));
  }
  return offsets.map((_, at) => rows.get(words[at] ?? at) ?? 0);
}

/** Of a row, with its special tokens: `length` in all, the text's own from `start` on. */
export function rowShapes(
  shapes: readonly number[],
  { start, length }: { readonly start: number; readonly length: number },
): number[] {
  return Array.from({ length }, (_, at) => shapes[at - start] ?? 0);
}
