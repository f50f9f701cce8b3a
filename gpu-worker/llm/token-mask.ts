/** Masks of tokens, see `NextTokens`: what lies beyond their end is not allowed. */

/** Tokens of a word of a mask. */
export const wordTokens = 32;

export function isAllowed(allowed: Int32Array, token: number): boolean {
  return (((allowed[token >>> 5] ?? 0) >>> (token & 31)) & 1) === 1;
}

/** How many tokens are, those beyond the vocabulary included. */
export function allowedCount(allowed: Int32Array): number {
  let count = 0;
  for (let at = 0; at < allowed.length; at += 1) {
    const word = allowed[at] ?? 0;
    // Sums of two bits, of four, of eight, then of all.
    const twos = word - ((word >>> 1) & 0x55555555);
    const fours = (twos & 0x33333333) + ((twos >>> 2) & 0x33333333);
    count += Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return count;
}
