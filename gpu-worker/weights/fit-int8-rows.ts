/**
 * Stores a matrix as int8 with a scale per row, the scale being the one of a grid at and below `max|row| / 127` that
 * loses least in squared error: to clip a row's few largest values a little often costs less than a coarser step for
 * all others. Deterministic to the bit, so that the embedded model can be made again from its origin and compared.
 */
import type { Int8Rows } from "./int8-rows.ts";

const level = 127;
/** Shares of the row's range that are tried as clip points. */
const shares = Array.from({ length: 17 }, (_, step) => 1 - step / 64);

function nearest(value: number, scale: number): number {
  const step = Math.round(value / scale);
  if (step > level) return level;
  return step < -level ? -level : step;
}

/** Stops early at `bound`: what is larger is of no interest. */
function squaredError(row: Float32Array, scale: number, bound: number): number {
  let sum = 0;
  // By index: this runs some 400 million times for a small model, and an iterator would take several times as long.
  for (let at = 0; at < row.length && sum < bound; at += 1) {
    const value = row[at] ?? 0;
    const rest = value - nearest(value, scale) * scale;
    sum += rest * rest;
  }
  return sum;
}

/** 0 for a row of zeros. */
function bestScale(row: Float32Array): number {
  const largest = row.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  let best = { scale: 0, error: Infinity };
  for (const share of shares) {
    const scale = Math.fround((largest * share) / level);
    if (scale === 0) continue;
    const error = squaredError(row, scale, best.error);
    if (error < best.error) best = { scale, error };
  }
  return best.scale;
}

/** @param matrix [rows, columns] f32, every value finite */
export function fitInt8Rows(matrix: Float32Array, columns: number): Int8Rows {
  const rows = matrix.length / columns;
  const values = new Int8Array(matrix.length);
  const scales = new Float32Array(rows);
  for (let row = 0; row < rows; row += 1) {
    const source = matrix.subarray(row * columns, (row + 1) * columns);
    const scale = bestScale(source);
    scales[row] = scale;
    if (scale === 0) continue;
    for (const [at, value] of source.entries()) values[row * columns + at] = nearest(value, scale);
  }
  return { rows, columns, values, scales };
}
