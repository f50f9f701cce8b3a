/**
 * Parts labelled texts into those that train and those that judge. Data may hold a sentence and its phrases side by
 * side: only texts that are part of no other are held out, and nothing that is part of one trains, since the head would
 * be judged on what it has seen. The choice goes by the texts' digests: the same texts are held out in whatever order
 * they stand.
 */
import { createHash } from "node:crypto";

export type HoldOut = {
  /** Indices of texts. */
  heldOut: number[];
  /** Texts that are neither held out nor part of one that is. */
  training: number[];
};

export type HoldOutOptions = {
  /** Of the whole texts, 0 … 1. */
  share: number;
  most: number;
};

export const usualHoldOut: HoldOutOptions = { share: 0.2, most: 2_000 };

export function holdOut(texts: readonly string[], { share, most }: HoldOutOptions): HoldOut {
  const parents = wholesOf(texts);
  const wholes = texts.flatMap((text, at) =>
    parents[at]?.[0] === at ? { at, key: digest(wordsOf(text)) } : [],
  );
  wholes.sort((a, b) => (a.key < b.key ? -1 : 1));
  const count = Math.min(most, Math.ceil(wholes.length * share));
  const chosen = new Set(wholes.slice(0, count).map(({ at }) => at));
  const training = texts.flatMap((_, at) =>
    (parents[at] ?? []).some((whole) => chosen.has(whole)) ? [] : at,
  );
  return { heldOut: [...chosen].toSorted((a, b) => a - b), training };
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().split(/\s+/).filter(Boolean);
}

function digest(words: readonly string[]): string {
  return createHash("sha256").update(words.join(" ")).digest("hex");
}

/** Words a part and its whole are matched by: three in a row are rare enough to find few wholes. */
const keyWords = 3;

/** For each text the whole texts it is part of; its own index alone where it is one. */
function wholesOf(texts: readonly string[]): number[][] {
  const words = texts.map(wordsOf);
  const longestFirst = words.map((_, at) => at);
  longestFirst.sort((a, b) => (words[b]?.length ?? 0) - (words[a]?.length ?? 0) || a - b);
  const index = new Map<string, number[]>();
  const padded = new Map<number, string>();
  const parents: number[][] = texts.map(() => []);
  for (const at of longestFirst) {
    const own = words[at] ?? [];
    const text = ` ${own.join(" ")} `;
    const candidates = rarest(index, keysOf(own, keyWords).length > 0 ? keyWords : 1, own);
    const found = candidates.filter((whole) => padded.get(whole)?.includes(text) ?? false);
    parents[at] = found.length > 0 ? found : [at];
    if (found.length > 0) continue;
    padded.set(at, text);
    for (const key of new Set([...keysOf(own, keyWords), ...own])) {
      const list = index.get(key);
      if (list === undefined) index.set(key, [at]);
      else list.push(at);
    }
  }
  return parents;
}

/** Each run of `length` words. */
function keysOf(words: readonly string[], length: number): string[] {
  const count = Math.max(0, words.length - length + 1);
  return Array.from({ length: count }, (_, at) => words.slice(at, at + length).join(" "));
}

/** Wholes that hold the key of `words` that fewest hold. */
function rarest(index: Map<string, number[]>, length: number, words: readonly string[]): number[] {
  let least: number[] | null = null;
  for (const key of keysOf(words, length)) {
    const list = index.get(key) ?? [];
    if (least === null || list.length < least.length) least = list;
  }
  return least ?? [];
}
