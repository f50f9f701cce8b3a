/**
 * A counter-based generator, Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3",
 * 2011): it has no state, so what is drawn for a token depends on the seed, the choice and the position alone, whatever
 * runs beside it.
 */

const rounds = 10;
const multipliers = [0xd2511f53, 0xcd9e8d57] as const;
const weyl = [0x9e3779b9, 0xbb67ae85] as const;

export type DrawKey = {
  /** A safe integer. */
  seed: number;
  /** Index among the choices of one request (`n`). */
  choice: number;
  /** Of the token in what is generated. */
  position: number;
};

/** A number in [0, 1), a multiple of 2^-53. */
export function uniformDraw({ seed, choice, position }: DrawKey): number {
  const [high, low] = philox([position, choice, 0, 0], [seed, Math.floor(seed / 2 ** 32)]);
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
}

type Four = readonly [number, number, number, number];

/** Four words of 32 bits from a counter and a key. */
export function philox(counter: Four, key: readonly [number, number]): Four {
  let [a, b, c, d] = counter;
  let [k, l] = key;
  for (let round = 0; round < rounds; round += 1) {
    const [first, second] = [a, c];
    a = highWord(multipliers[1], second) ^ b ^ k;
    b = Math.imul(multipliers[1], second);
    c = highWord(multipliers[0], first) ^ d ^ l;
    d = Math.imul(multipliers[0], first);
    k = (k + weyl[0]) >>> 0;
    l = (l + weyl[1]) >>> 0;
  }
  return [a >>> 0, b >>> 0, c >>> 0, d >>> 0];
}

/** The upper 32 bits of the product of two words. */
function highWord(x: number, y: number): number {
  const [xHigh, xLow, yHigh, yLow] = [x >>> 16, x & 0xffff, y >>> 16, y & 0xffff];
  const middle = xHigh * yLow + ((xLow * yLow) >>> 16);
  const carry = xLow * yHigh + (middle % 0x10000);
  return xHigh * yHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000);
}
