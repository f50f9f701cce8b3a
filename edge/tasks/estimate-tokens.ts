/**
 * How many tokens a text probably has, before any tokenizer has seen it: one pass over its UTF-16 units, which ends
 * where the model would stop reading. Of prose at most twice what it has; of anything at least half of what a tokenizer
 * that knows words makes of it, and a third of what one does that knows hardly any. What a script costs differs by
 * tokenizer, from a byte a token to four characters: the estimate is near the dear end.
 */

/** Tokens of known words hold four to five letters, of letters thrown together about one and a half. */
const lettersPerToken = 2.5;
const digitsPerToken = 2;
/** Of a run of white space past the first, which belongs to the word beside it; and of control characters. */
const tokensPerSpace = 0.5;

/**
 * Past ASCII: half of the UTF-8 bytes. A tokenizer of bytes makes at most twice that; one of characters or words made
 * for the script, a little less.
 */
const tokensBeyondAscii = { twoBytes: 1, threeBytes: 1.5, surrogate: 1 } as const;

/** Single characters that normalisation (NFKC) writes out as several words. */
const writtenOut: readonly { from: number; to: number; tokens: number }[] = [
  { from: 0x3300, to: 0x33ff, tokens: 3 },
  { from: 0xfdf0, to: 0xfdff, tokens: 9 },
];

/** @returns tokens without special ones, at most `tokensMax` */
export function estimateTokens(text: string, tokensMax: number): number {
  let tokens = 0;
  let letters = 0;
  let spaces = 0;
  for (let at = 0; at < text.length && tokens < tokensMax; at += 1) {
    const unit = text.charCodeAt(at);
    if (isLetter(unit)) {
      letters += 1;
      continue;
    }
    if (letters > 0) {
      tokens += Math.max(1, letters / lettersPerToken);
      letters = 0;
      spaces = 0;
    }
    if (unit > 0x20) spaces = 0;
    else spaces += 1;
    tokens += unit > 0x20 || spaces > 1 || unit < 0x20 ? tokensOf(unit) : 0;
  }
  if (letters > 0) tokens += Math.max(1, letters / lettersPerToken);
  return Math.min(Math.ceil(tokens), tokensMax);
}

/** A to Z and a to z. */
function isLetter(unit: number): boolean {
  const lower = unit | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

/** Of any other UTF-16 unit. */
function tokensOf(unit: number): number {
  if (unit <= 0x20) return tokensPerSpace;
  if (unit >= 0x30 && unit <= 0x39) return 1 / digitsPerToken;
  if (unit < 0x80) return 1;
  if (unit < 0x800) return tokensBeyondAscii.twoBytes;
  if (unit >= 0xd800 && unit <= 0xdfff) return tokensBeyondAscii.surrogate;
  const range = writtenOut.find(({ from, to }) => unit >= from && unit <= to);
  return range?.tokens ?? tokensBeyondAscii.threeBytes;
}
