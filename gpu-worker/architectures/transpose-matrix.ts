/**
 * The rearrangement of a linear layer's weights: checkpoints keep them [out, in], products want [in, out].
 */

/** Row-major [rows, columns] → [columns, rows]. `to` takes the result. */
export function transposeInto<A extends Float32Array | Int8Array>(
  from: A,
  to: A,
  columns: number,
): A {
  const rows = from.length / columns;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      to[column * rows + row] = from[row * columns + column] ?? 0;
    }
  }
  return to;
}

export function transposeMatrix(matrix: Float32Array, columns: number): Float32Array {
  return transposeInto(matrix, new Float32Array(matrix.length), columns);
}
