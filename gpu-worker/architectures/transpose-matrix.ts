/**
 * Rearrangements of a linear layer's weights: checkpoints keep them [out, in], products want [in, out].
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

/** Row-major [heads·width, columns] → [heads, columns, width]: each head's weights as a matrix of their own. */
export function splitHeads(matrix: Float32Array, columns: number, heads: number): Float32Array {
  const block = matrix.length / heads;
  const out = new Float32Array(matrix.length);
  for (let start = 0; start < matrix.length; start += block) {
    const head = matrix.subarray(start, start + block);
    transposeInto(head, out.subarray(start, start + block), columns);
  }
  return out;
}
