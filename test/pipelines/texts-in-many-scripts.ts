/** Made-up texts of many scripts, the same in every run, and the real tokenizers that read them. */
import path from "node:path";

const alphabets = [
  [..."abcdefgh XYZ ,.!?-'"],
  [..."北京大学在中国的首都，。東京タワー서울"],
  ["😀", "👩‍👩‍👧", "👍🏽", "🇩🇪", "❤️", "𝒳", "𠮷", " "],
  ["e\u0301", "o\u0308", "n\u0303\u0323", "q\u0307", "I\u0307", "ß", "ﬁ", "Ⅷ", " "],
  [..."שלום עברית ", "ש\u05c1\u05bc"],
  [..."مرحبا بالعالم ", "ل\u064e"],
  [..."हिन्दी में ", "क्\u200dष"],
  [" ", "\n", "\t", "\u00a0", "\u3000", "\u200b", "\u0301", "\ufeff", "\ud83d", "\ude00"],
];

/** Numbers from 0 to 1 of a linear congruential generator (Numerical Recipes). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Each of `characters` pieces of up to three alphabets at a time, never empty. */
export function* textsInManyScripts(count: number, pieces: number): Generator<string> {
  const random = seededRandom(pieces);
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)];
  for (let made = 0; made < count; made += 1) {
    const some = [pick(alphabets), pick(alphabets), pick(alphabets)].map((each) => each ?? []);
    const length = 1 + Math.floor(random() * pieces);
    yield Array.from({ length }, () => pick(pick(some) ?? []) ?? " ").join("");
  }
}

const made = path.resolve(import.meta.dirname, "../tokenizer/made");

export const tokenizerFolders: readonly [string, string][] = [
  [
    "minilm",
    path.resolve(import.meta.dirname, "../../gpu-worker/catalog/embedded/all-MiniLM-L6-v2"),
  ],
  ...["cased-bert", "roberta", "xlm-roberta", "deberta-v3"].map((name): [string, string] => [
    name,
    path.join(made, name),
  ]),
];

/** A number that looks random, the same for the same ids and index. */
export function noise(...numbers: readonly number[]): number {
  let hash = 2_166_136_261;
  for (const number of numbers) hash = Math.imul(hash ^ (number + 1), 16_777_619) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 15), 2_246_822_519) >>> 0;
  return (hash >>> 8) / 2 ** 22 - 2;
}
