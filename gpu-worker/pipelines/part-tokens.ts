/** The tokens that a marked part of a text is of. */
import type { Span } from "./offsets.ts";

/** Those that overlap the part, as indices `[start, end)`; null: there are none. */
export function tokensIn([start, end]: Span, tokens: readonly Span[]): Span | null {
  const overlaps = (span: Span) => span[0] < end && span[1] > start;
  const first = tokens.findIndex(overlaps);
  return first === -1 ? null : [first, tokens.findLastIndex(overlaps) + 1];
}
