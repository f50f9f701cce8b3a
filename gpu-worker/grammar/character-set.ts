/**
 * Sets of characters, as ranges of code points in order, both ends included. U+0000 is in none: XGrammar's grammars end
 * a text there; nor are surrogates, which no text in UTF-8 has.
 */

export type CharacterRange = readonly [from: number, to: number];
export type CharacterSet = readonly CharacterRange[];

export const allCharacters: CharacterSet = [
  [1, 0xd7ff],
  [0xe000, 0x10ffff],
];

/** In order, without overlaps. */
export function charactersOf(ranges: readonly CharacterRange[]): CharacterSet {
  const united: [number, number][] = [];
  for (const [from, to] of ranges.toSorted(([a], [b]) => a - b)) {
    const last = united.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else united.push([from, to]);
  }
  return intersection(united, allCharacters);
}

export function characters(text: string): CharacterSet {
  return charactersOf(
    [...text].map((each) => [each.codePointAt(0) ?? 0, each.codePointAt(0) ?? 0]),
  );
}

export function intersection(first: CharacterSet, second: CharacterSet): CharacterSet {
  const both: CharacterRange[] = [];
  for (let [a, b] = [0, 0]; a < first.length && b < second.length;) {
    const [one, other] = [first[a] ?? [0, -1], second[b] ?? [0, -1]];
    const [from, to] = [Math.max(one[0], other[0]), Math.min(one[1], other[1])];
    if (from <= to) both.push([from, to]);
    if (one[1] < other[1]) a += 1;
    else b += 1;
  }
  return both;
}

export function complement(of: CharacterSet): CharacterSet {
  const gaps: CharacterRange[] = [];
  let from = 0;
  for (const range of of) {
    if (range[0] > from) gaps.push([from, range[0] - 1]);
    from = range[1] + 1;
  }
  gaps.push([from, 0x10ffff]);
  return intersection(gaps, allCharacters);
}

export function without(set: CharacterSet, other: CharacterSet): CharacterSet {
  return intersection(set, complement(other));
}

export function includes(set: CharacterSet, codePoint: number): boolean {
  let [low, high] = [0, set.length - 1];
  while (low <= high) {
    const middle = (low + high) >> 1;
    const [from, to] = set[middle] ?? [0, -1];
    if (codePoint < from) high = middle - 1;
    else if (codePoint > to) low = middle + 1;
    else return true;
  }
  return false;
}
