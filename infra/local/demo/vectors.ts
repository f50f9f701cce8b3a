/** Sentence vectors as answers carry them, and how alike two are. */

/** @param text base64 of little-endian f32 */
export function decodeVector(text: string): number[] {
  const bytes = Buffer.from(text, "base64");
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
}

/** @returns −1 … 1 */
export function cosine(a: readonly number[], b: readonly number[]): number {
  let dot = 0;
  let aa = 0;
  let bb = 0;
  for (const [i, x] of a.entries()) {
    const y = b[i] ?? 0;
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  return dot / Math.sqrt(aa * bb);
}

/** The first numbers, for people. */
export function preview(vector: readonly number[]): string {
  const first = vector.slice(0, 4).map((x) => x.toFixed(4));
  return `[${first.join(", ")}, … ${vector.length} numbers]`;
}
