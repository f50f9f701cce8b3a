/**
 * What a run takes of memory, from its shape: so much for each token, and attention's scores for each pair of a text's
 * positions. Pure. An upper bound that leaves room for the allocator, not a forecast.
 */

/** Bytes. */
export type RunMemory = {
  /** Of each token, padding included. */
  perToken: number;
  /** Of each text by itself, beside its tokens. Absent: nothing. */
  perText?: number;
  /** Of each pair of positions in a text. */
  perPair: number;
  /** Of all pairs at a time, where attention computes some after others; Infinity where it cannot. */
  pairsMax: number;
  /** Of each position that a row asks for, where the graph computes those alone. */
  perAsked: number;
  /** What one run may take. */
  max: number;
};

export type RunShape = {
  /** Tokens of the longest text. */
  longest: number;
  texts: number;
  /** Positions that rows ask for. */
  asked: number;
};

export function bytesOfRun(memory: RunMemory, { longest, texts, asked }: RunShape): number {
  const pairs = Math.min(texts * longest ** 2 * memory.perPair, memory.pairsMax);
  const { perToken, perText = 0, perAsked } = memory;
  return texts * (longest * perToken + perText) + pairs + asked * perAsked;
}

/** The most tokens of a text alone. */
export function longestText(memory: RunMemory): number {
  const fits = (longest: number) =>
    bytesOfRun(memory, { longest, texts: 1, asked: 0 }) <= memory.max;
  let [low, high] = [0, 1];
  while (fits(high) && high < Number.MAX_SAFE_INTEGER / 2) [low, high] = [high, high * 2];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}
