/** Arithmetic of an encoder, so that texts a second can be compared with what the machine's matrix products reach. */

export type EncoderSize = { layers: number; hidden: number; intermediate: number };

export const miniLmL6: EncoderSize = { layers: 6, hidden: 384, intermediate: 1_536 };

/**
 * Multiplications and additions in the products over one text of `tokens` tokens, padding not counted: per layer 4 h²
 * for query, key, value and output, 2 h f for the feed-forward block, 2 n h for scores and context, each twice.
 */
export function operationsOf(
  tokens: number,
  { layers, hidden, intermediate }: EncoderSize,
): number {
  const perToken = 4 * hidden * hidden + 2 * hidden * intermediate + 2 * tokens * hidden;
  return 2 * layers * tokens * perToken;
}
