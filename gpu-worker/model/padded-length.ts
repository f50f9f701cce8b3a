/**
 * Lengths that batches are padded to. Buffers of many sizes fragment the arena that ONNX Runtime takes memory from, so
 * lengths are rounded up to eight steps an octave: 16, 18, 20 … 32, 36, 40 … . A row gets at most an eighth longer,
 * some 4 % on average, and in graphs whose layers leave padding out, only attention computes anything of that.
 */

/** @returns the first step from `length` on, but no more than `most`, which is at least `length` */
export function paddedLength(length: number, most: number): number {
  const step = Math.max(1, 2 ** (Math.floor(Math.log2(Math.max(1, length - 1))) - 3));
  return Math.min(Math.ceil(length / step) * step, Math.max(length, most));
}
