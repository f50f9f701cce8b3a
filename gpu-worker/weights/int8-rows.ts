/**
 * Matrices stored as int8 with one float scale per row: tensor `X` int8 [rows, columns] beside `X.scale` f32 [rows],
 * element = X · scale. Scales make the largest element of a row 127; a row of zeros has scale 0.
 * A storage form: whether it is also computed with is the architecture's choice.
 */
export type Int8Rows = {
  readonly rows: number;
  readonly columns: number;
  /** Row-major, −127 … 127. */
  readonly values: Int8Array;
  /** One per row. */
  readonly scales: Float32Array;
};

export const scaleSuffix = ".scale";
/** What a file in this form says in its metadata. */
export const storageMetadata = { "llm-os.storage": "int8-per-row" } as const;

export type QuantiseOptions = {
  /** Values stay within ± this: 127, or 63 where 7 bits are wanted. */
  readonly limit: number;
};

// By index: functions for each element take several times as long on matrices of millions.

function largestMagnitude(values: Float32Array): number {
  let largest = 0;
  for (let at = 0; at < values.length; at++) largest = Math.max(largest, Math.abs(values[at] ?? 0));
  return largest;
}

/** In f64, what is added to it and taken away again is rounded to a whole number, ties to even. */
const unit = 1.5 * 2 ** 52;

/** Rounds each row of a row-major matrix to nearest, ties to even. */
export function quantiseRows(
  matrix: Float32Array,
  columns: number,
  { limit }: QuantiseOptions = { limit: 127 },
): Int8Rows {
  const rows = matrix.length / columns;
  const values = new Int8Array(matrix.length);
  const scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const source = matrix.subarray(row * columns, (row + 1) * columns);
    const scale = Math.fround(largestMagnitude(source) / limit);
    scales[row] = scale;
    const target = values.subarray(row * columns, (row + 1) * columns);
    if (scale === 0) continue;
    for (let at = 0; at < columns; at++) target[at] = (source[at] ?? 0) / scale + unit - unit;
  }
  return { rows, columns, values, scales };
}

/** What the rows from `first` on, rounded, are short of those of their `matrix`. */
export function remainderOf(matrix: Float32Array, rounded: Int8Rows, first: number): Float32Array {
  const { columns, values, scales } = rounded;
  const from = first * columns;
  const remainder = matrix.slice(from);
  for (let at = 0; at < remainder.length; at++) {
    const scale = scales[first + Math.floor(at / columns)] ?? 0;
    remainder[at] = (remainder[at] ?? 0) - (values[from + at] ?? 0) * scale;
  }
  return remainder;
}

/** Those of `below` below the others, of as many columns. */
export function joinRows(above: Int8Rows, below: Int8Rows): Int8Rows {
  const values = new Int8Array(above.values.length + below.values.length);
  values.set(above.values);
  values.set(below.values, above.values.length);
  const scales = new Float32Array(above.rows + below.rows);
  scales.set(above.scales);
  scales.set(below.scales, above.rows);
  return { rows: scales.length, columns: above.columns, values, scales };
}

export function dequantiseRows({ rows, columns, values, scales }: Int8Rows): Float32Array {
  const matrix = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const scale = scales[row] ?? 0;
    for (let at = row * columns; at < (row + 1) * columns; at++) {
      matrix[at] = (values[at] ?? 0) * scale;
    }
  }
  return matrix;
}
