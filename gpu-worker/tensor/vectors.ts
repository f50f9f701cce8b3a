/** Arithmetic on vectors: plain loops, because a request may hold thousands of them. */

type Vector = ArrayLike<number>;

export function sum(vector: Vector): number {
  let total = 0;
  for (let at = 0; at < vector.length; at += 1) total += vector[at] ?? 0;
  return total;
}

export function dot(a: Vector, b: Vector): number {
  let total = 0;
  for (let at = 0; at < a.length; at += 1) total += (a[at] ?? 0) * (b[at] ?? 0);
  return total;
}

/** Of length 1; a vector of zeros stays one. */
export function toUnitLength(vector: Float32Array): Float32Array {
  const length = Math.sqrt(dot(vector, vector));
  return length === 0 ? vector : vector.map((value) => value / length);
}

/** −1…1; 0 where a vector is zero. */
export function cosine(a: Vector, b: Vector): number {
  const scale = Math.sqrt(dot(a, a) * dot(b, b));
  // Rounding may carry the cosine of a vector with itself past 1.
  return scale === 0 ? 0 : Math.max(-1, Math.min(1, dot(a, b) / scale));
}

/** Length of the difference. */
export function euclidean(a: Vector, b: Vector): number {
  let total = 0;
  for (let at = 0; at < a.length; at += 1) total += ((a[at] ?? 0) - (b[at] ?? 0)) ** 2;
  return Math.sqrt(total);
}

/** Sum of the absolute differences. */
export function manhattan(a: Vector, b: Vector): number {
  let total = 0;
  for (let at = 0; at < a.length; at += 1) total += Math.abs((a[at] ?? 0) - (b[at] ?? 0));
  return total;
}

/** The numbers of a vector as base64 of little-endian f32: every platform this runs on is little-endian. */
export function toBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64");
}
