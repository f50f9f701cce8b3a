/** Size of a text in UTF-8. */

/** UTF-8 bytes of one UTF-16 code unit at most. */
const bytesPerUnitMax = 3;

/**
 * @param boundMax a size that matters to the caller
 * @returns the size, or a bound above it where that is still within `boundMax`: a short text is not encoded to be
 * measured
 */
export function utf8Bytes(text: string, boundMax: number): number {
  const bound = text.length * bytesPerUnitMax;
  return bound <= boundMax ? bound : new TextEncoder().encode(text).byteLength;
}
