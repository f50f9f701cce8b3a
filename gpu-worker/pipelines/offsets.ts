/**
 * Places in a text. Inside, they are UTF-16 code units, as `text.slice` takes them; callers get code points unless they ask
 * otherwise. Places that callers see lie between characters: never inside a surrogate pair, and not between a letter and
 * the marks on it that the tokenizer left out.
 */
import type { TaskParameters } from "#contract/tasks.ts";
import type { TimeSlices } from "../event-loop/time-slices.ts";

/** `[start, end)`, UTF-16 code units. */
export type Place = readonly [number, number];

export type OffsetUnit = NonNullable<TaskParameters<"token-classification">["offset_unit"]>;

/** @returns a place counted in UTF-16 code units, told in `unit`. Default code points. */
export function placesIn(text: string, unit: OffsetUnit = "code-point"): (place: number) => number {
  if (unit === "utf-16" || !/[\ud800-\udfff]/.test(text)) return (place) => place;
  const points = new Uint32Array(text.length + 1);
  let count = 0;
  // By units, because iterating over characters makes a string of each.
  for (let at = 0; at < text.length; at += 1) {
    points[at] = count;
    if (!isPair(text, at)) count += 1;
  }
  points[text.length] = count;
  return (place) => points[place] ?? count;
}

function isPair(text: string, at: number): boolean {
  return (text.codePointAt(at) ?? 0) > 0xffff;
}

/** Marks that stand on the character before, variation selectors among them, and joiners. */
const mark = /[\p{M}\u200c\u200d]/uy;
const space = /\s/;

/**
 * Where the words that tokens stand for lie: without the white space some tokenizers count as part of a token, with the
 * marks that follow, as far as no other token claims them. Empty for a token of white space alone.
 */
export function wordPlaces(
  text: string,
  offsets: readonly Place[],
  slices: TimeSlices,
): Promise<Place[]> {
  return slices.map(offsets, ([from, to], index) => {
    const [start, end] = withoutSpace(text, from, to);
    if (start === end) return [start, end];
    const next = offsets[index + 1]?.[0] ?? text.length;
    return [start, next < end ? end : withMarks(text, end, next)];
  });
}

/** Without white space at its ends. */
export function withoutSpace(text: string, from: number, to: number): Place {
  let [start, end] = [from, to];
  while (start < end && space.test(text.charAt(start))) start += 1;
  while (end > start && space.test(text.charAt(end - 1))) end -= 1;
  return [start, end];
}

function withMarks(text: string, from: number, limit: number): number {
  let end = from;
  for (;;) {
    mark.lastIndex = end;
    if (end >= limit || !mark.test(text)) return end;
    end = mark.lastIndex;
  }
}
