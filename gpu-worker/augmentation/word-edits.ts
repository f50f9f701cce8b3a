/**
 * Edits of a text's words that need no model: words left out or exchanged (EDA, Wei and Zou 2019, without the two that
 * need a dictionary of synonyms), letters exchanged or mistyped, and capitals. Words are what white space parts, so
 * that a script without spaces is hardly edited. White space and everything else stay as they are.
 */
import type { EditMethod } from "#contract/augmentation/augmentation-plan.ts";
import type { Random } from "#contract/random.ts";

export type EditOptions = {
  readonly random: Random;
  /** Of the words, that are edited. */
  readonly share: number;
};

type Edit = (words: readonly string[], options: EditOptions) => string[];

/** @returns null where nothing of the text could be edited */
export function editWords(text: string, method: EditMethod, options: EditOptions): string | null {
  // Words at even places, the white space between them at odd ones.
  const parts = text.trim().split(/(\s+)/);
  const words = parts.filter((_, at) => at % 2 === 0);
  const edited = edits[method](words, options);
  if (edited.length === words.length && edited.every((word, at) => word === words[at])) return null;
  if (edited.length < words.length) return edited.join(" ");
  return parts.map((part, at) => (at % 2 === 0 ? (edited[at / 2] ?? "") : part)).join("");
}

const edits: { readonly [M in EditMethod]: Edit } = {
  delete(words, options) {
    const gone = new Set(chosen(words, () => true, options).slice(0, words.length - 1));
    return words.filter((_, at) => !gone.has(at));
  },
  swap(words, { random, share }) {
    const edited = [...words];
    if (words.length < 2) return edited;
    for (let left = countOf(words, share); left > 0; left -= 1) {
      const from = below(words.length, random);
      const to = (from + 1 + below(words.length - 1, random)) % words.length;
      [edited[from], edited[to]] = [edited[to] ?? "", edited[from] ?? ""];
    }
    return edited;
  },
  transpose: (words, options) =>
    eachChosen(words, (word) => places(word, isTransposable).length > 0, options, transposed),
  keyboard: (words, options) =>
    eachChosen(words, (word) => places(word, hasNeighbour).length > 0, options, mistyped),
  case(words, { random }) {
    const ways = [lower, upper, sentence, title].filter((way) => !sameWords(way(words), words));
    return ways[below(ways.length, random)]?.(words) ?? [...words];
  },
};

function below(end: number, random: Random): number {
  return Math.floor(random() * end);
}

function countOf(words: readonly string[], share: number): number {
  return Math.max(1, Math.round(share * words.length));
}

/** Indices of words that are edited, drawn without putting back from those that can be. */
function chosen(
  words: readonly string[],
  fits: (word: string) => boolean,
  { random, share }: EditOptions,
): number[] {
  const left = words.flatMap((word, at) => (fits(word) ? [at] : []));
  const count = Math.min(left.length, countOf(words, share));
  return Array.from({ length: count }, () => left.splice(below(left.length, random), 1)[0] ?? 0);
}

function eachChosen(
  words: readonly string[],
  fits: (word: string) => boolean,
  options: EditOptions,
  edit: (word: string, random: Random) => string,
): string[] {
  const at = new Set(chosen(words, fits, options));
  return words.map((word, index) => (at.has(index) ? edit(word, options.random) : word));
}

type FitsAt = (characters: readonly string[], at: number) => boolean;

/** What people take for single characters: a letter with its marks is one. */
const graphemes = new Intl.Segmenter("und", { granularity: "grapheme" });

function charactersOf(word: string): string[] {
  return Array.from(graphemes.segment(word), ({ segment }) => segment);
}

function places(word: string, fits: FitsAt): number[] {
  const characters = charactersOf(word);
  return characters.flatMap((_, at) => (fits(characters, at) ? [at] : []));
}

const isLetter = (character = "") => /^\p{L}/u.test(character);

/** The first letter of a word is hardly ever mistyped, and says most of what the word is. */
const isTransposable: FitsAt = (characters, at) =>
  at > 0 &&
  isLetter(characters[at]) &&
  isLetter(characters[at + 1]) &&
  characters[at] !== characters[at + 1];

function transposed(word: string, random: Random): string {
  const characters = charactersOf(word);
  const fitting = places(word, isTransposable);
  const at = fitting[below(fitting.length, random)] ?? 0;
  characters.splice(at, 2, characters[at + 1] ?? "", characters[at] ?? "");
  return characters.join("");
}

/** Of a QWERTY keyboard, from top to bottom; each stands half a key to the right of the one above. */
const rows = ["qwertyuiop", "asdfghjkl", "zxcvbnm"];

const neighbours: ReadonlyMap<string, string> = new Map(
  rows.flatMap((row, line) =>
    Array.from(row, (letter, at): [string, string] => {
      const beside = `${row[at - 1] ?? ""}${row[at + 1] ?? ""}`;
      const above = `${rows[line - 1]?.[at] ?? ""}${rows[line - 1]?.[at + 1] ?? ""}`;
      const under = `${rows[line + 1]?.[at - 1] ?? ""}${rows[line + 1]?.[at] ?? ""}`;
      return [letter, beside + above + under];
    }),
  ),
);

const hasNeighbour: FitsAt = (characters, at) =>
  at > 0 && neighbours.has(characters[at]?.toLowerCase() ?? "");

function mistyped(word: string, random: Random): string {
  const characters = charactersOf(word);
  const fitting = places(word, hasNeighbour);
  const at = fitting[below(fitting.length, random)] ?? 0;
  const typed = characters[at] ?? "";
  const near = neighbours.get(typed.toLowerCase()) ?? "";
  const slip = near[below(near.length, random)] ?? "";
  characters[at] = typed === typed.toLowerCase() ? slip : slip.toUpperCase();
  return characters.join("");
}

type Recasing = (words: readonly string[]) => string[];

const lower: Recasing = (words) => words.map((word) => word.toLowerCase());
const upper: Recasing = (words) => words.map((word) => word.toUpperCase());
const title: Recasing = (words) => words.map(capitalised);
const sentence: Recasing = (words) =>
  lower(words).map((word, at) => (at === 0 ? capitalised(word) : word));

function capitalised(word: string): string {
  const [first = "", ...others] = charactersOf(word);
  return first.toUpperCase() + others.join("").toLowerCase();
}

function sameWords(a: readonly string[], b: readonly string[]): boolean {
  return a.every((word, at) => word === b[at]);
}
