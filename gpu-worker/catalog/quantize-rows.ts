/**
 * Stores a matrix as int8 with one f32 scale a row: value ≈ int8 · scale. The scale is the one of a grid below
 * `max|row| / 127` that loses least in squared error: clipping a row's few largest values a little often costs less than
 * a coarser step for all the others. Deterministic to the bit: the embedded model is reproducible from its origin.
 */

export type QuantizedRows = {
  /** [rows, columns], −127 … 127. */
  values: Int8Array;
  /** [rows], positive. */
  scales: Float32Array;
};

/** Fractions of the full range tried as clip points. */
const clips = Array.from({ length: 33 }, (_, step) => 1 - step / 64);
const levels = 127;

function quantize(value: number, scale: number): number {
  const level = Math.round(value / scale);
  return Math.max(-levels, Math.min(levels, level));
}

function squaredError(row: Float32Array, scale: number): number {
  let sum = 0;
  for (const value of row) {
    const rest = value - quantize(value, scale) * scale;
    sum += rest * rest;
  }
  return sum;
}

function bestScale(row: Float32Array): number {
  const largest = row.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  if (largest === 0) return 1;
  let best = { scale: Math.fround(largest / levels), error: Infinity };
  for (const clip of clips) {
    const scale = Math.fround((largest * clip) / levels);
    const error = scale > 0 ? squaredError(row, scale) : Infinity;
    if (error < best.error) best = { scale, error };
  }
  return best.scale;
}

/** @param matrix [rows, columns] f32, every value finite */
export function quantizeRows(matrix: Float32Array, columns: number): QuantizedRows {
  const rows = matrix.length / columns;
  const values = new Int8Array(matrix.length);
  const scales = new Float32Array(rows);
  for (let r = 0; r < rows; r += 1) {
    const row = matrix.subarray(r * columns, (r + 1) * columns);
    const scale = bestScale(row);
    scales[r] = scale;
    for (let c = 0; c < columns; c += 1) {
      values[r * columns + c] = quantize(row[c] ?? 0, scale);
    }
  }
  return { values, scales };
}
