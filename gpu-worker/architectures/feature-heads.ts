/**
 * Features that come in heads, and the zeros they are padded with. GroupQueryAttention takes heads of a multiple of 16
 * features alone and turns the first half of a head against its second: so each half is padded by itself. Zeros change
 * no product of a query and a key, and what they add to a head's result is read by no weight.
 */

/** `count` heads of `width` features each, which take `padded` in the graph. */
export type Heads = { readonly count: number; readonly width: number; readonly padded: number };

/** Plain features, or those of heads. */
export type Features = number | Heads;

const multiple = 16;

export function headsOf(count: number, width: number): Heads {
  return { count, width, padded: Math.ceil(width / multiple) * multiple };
}

/** As the checkpoint has them. */
export function storedSize(features: Features): number {
  return typeof features === "number" ? features : features.count * features.width;
}

/** As the graph has them. */
export function sizeOf(features: Features): number {
  return typeof features === "number" ? features : features.count * features.padded;
}

/** `matrix` row-major, with a row of `columns` elements for each feature. */
export function padRows(matrix: Float32Array, features: Features, columns: number): Float32Array {
  if (typeof features === "number" || features.width === features.padded) return matrix;
  const [from, to] = [features.width, features.padded].map((width) => (width / 2) * columns);
  if (from === undefined || to === undefined) return matrix;
  const padded = new Float32Array(sizeOf(features) * columns);
  for (let half = 0; half < features.count * 2; half++) {
    padded.set(matrix.subarray(half * from, (half + 1) * from), half * to);
  }
  return padded;
}
