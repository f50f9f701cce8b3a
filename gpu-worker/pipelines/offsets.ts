/**
 * Offsets in a text. Inside the worker they count UTF-16 code units, as `text.slice` takes them; callers get code
 * points unless they ask otherwise. Offsets that callers see lie between characters: never inside a surrogate pair, and
 * not between a letter and the combining marks on it that the tokenizer left out.
 */
import type { TaskParameters } from "#contract/tasks.ts";
import type { TimeSlices } from "../event-loop/time-slices.ts";

/** `[start, end)`. Of a text: UTF-16 code units. Of a row: tokens. */
export type Span = readonly [number, number];

export type OffsetUnit = NonNullable<TaskParameters<"token-classification">["offset_unit"]>;

/** @returns converts an offset in UTF-16 code units to one in `unit`. Default code points. */
export function offsetConverter(
  text: string,
  unit: OffsetUnit = "code-point",
): (offset: number) => number {
  if (unit === "utf-16" || !/[\ud800-\udfff]/.test(text)) return (offset) => offset;
  const points = new Uint32Array(text.length + 1);
  let count = 0;
  // By units, because iterating over characters makes a string of each.
  for (let at = 0; at < text.length; at += 1) {
    points[at] = count;
    if (!isPair(text, at)) count += 1;
  }
  points[text.length] = count;
  return (offset) => points[offset] ?? count;
}

function isPair(text: string, at: number): boolean {
  return (text.codePointAt(at) ?? 0) > 0xffff;
}

/** Combining marks, variation selectors among them, and joiners: they belong to the character before. */
const mark = /[\p{M}\u200c\u200d]/uy;
const space = /\s/;

/**
 * The span of each token without the white space that some tokenizers count as part of it, and with the combining marks
 * that follow, up to where the next token begins. Empty for a token of white space alone.
 */
export function trimOffsets(
  text: string,
  offsets: readonly Span[],
  slices: TimeSlices,
): Promise<Span[]> {
  return slices.map(offsets, ([from, to], index) => {
    const [start, end] = withoutSpace(text, from, to);
    if (start === end) return [start, end];
    const next = offsets[index + 1]?.[0] ?? text.length;
    return [start, next < end ? end : withMarks(text, end, next)];
  });
}

/** Without white space at its ends. */
export function withoutSpace(text: string, from: number, to: number): Span {
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
