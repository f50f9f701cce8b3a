/** Row-major `matrix` with each column times its factor. */
export function timesColumns(matrix: Float32Array, factors: Float32Array): Float32Array {
  const scaled = new Float32Array(matrix.length);
  for (let from = 0; from < matrix.length; from += factors.length) {
    for (let column = 0; column < factors.length; column++) {
      scaled[from + column] = (matrix[from + column] ?? 0) * (factors[column] ?? 0);
    }
  }
  return scaled;
}
