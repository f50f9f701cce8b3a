/** Arithmetic of an encoder, so that texts a second can be compared with what the machine's matrix products reach. */

export type EncoderSize = {
  layers: number;
  hidden: number;
  intermediate: number;
  /** Whether the last layer computes the first token alone, as under the head of a classifier. Default false. */
  readsFirst?: boolean;
};

export const miniLmL6: EncoderSize = { layers: 6, hidden: 384, intermediate: 1_536 };

/**
 * Multiplications and additions in the products over one text of `tokens` tokens, padding not counted: per layer 4 h²
 * for query, key, value and output, 2 h f for the feed-forward block, 2 n h for scores and context, each twice.
 */
export function operationsOf(
  tokens: number,
  { layers, hidden, intermediate, readsFirst = false }: EncoderSize,
): number {
  const keysAndValues = 2 * hidden * hidden;
  const others = keysAndValues + 2 * hidden * intermediate + 2 * tokens * hidden;
  const computed = readsFirst ? (layers - 1) * tokens + 1 : layers * tokens;
  return 2 * (layers * tokens * keysAndValues + computed * others);
}
