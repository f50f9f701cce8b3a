/**
 * A rotation that a graph computes as it runs: the Kronecker product of two (rotation.ts). The features of a row are
 * taken as a matrix, whose columns one of them rotates, and whose rows the other does: a feature takes as many
 * multiplications as a row and a column of it are long, not as many as there are features.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import { Rotation } from "./rotation.ts";
import { transposeInto, transposeMatrix } from "./transpose-matrix.ts";

/** The rows and columns of a matrix of `size` elements, as near to a square as there is one. */
function nearestToSquare(size: number): readonly [number, number] {
  let rows = Math.floor(Math.sqrt(size));
  while (size % rows !== 0) rows--;
  return [rows, size / rows];
}

export class KroneckerRotation {
  readonly #shape: readonly [number, number];
  readonly #ofColumns: Rotation;
  readonly #ofRows: Rotation;
  readonly #left: Value;
  readonly #right: Value;

  /** Adds its constants to the graph, by names that they have but once. @param size that `canRotateSize` */
  constructor(graph: GraphBuilder, size: number) {
    this.#shape = nearestToSquare(size);
    const [rows, columns] = this.#shape;
    const [ofColumns, ofRows] = [new Rotation(rows), new Rotation(columns)];
    const constant = (name: string, width: number, load: () => Float32Array) =>
      graph.initializer({ name, dtype: "float32", shape: [width, width], load });
    this.#ofColumns = ofColumns;
    this.#ofRows = ofRows;
    this.#left = constant("rotation.left", rows, () => transposeMatrix(ofColumns.matrix(), rows));
    this.#right = constant("rotation.right", columns, () => ofRows.matrix());
  }

  /** `x` [batch, sequence, size] */
  rotate(x: Value): Value {
    const [rows, columns] = this.#shape;
    const turned = x.reshape([0, 0, rows, columns]).matMul(this.#right);
    return this.#left.matMul(turned).reshape([0, 0, rows * columns]);
  }

  /** Each row of a row-major matrix [rows, size]. */
  rotateRows(matrix: Float32Array): Float32Array {
    const [rows, columns] = this.#shape;
    const rotated = this.#ofRows.rows(matrix);
    const transposed = new Float32Array(rows * columns);
    for (let from = 0; from < rotated.length; from += transposed.length) {
      const row = rotated.subarray(from, from + transposed.length);
      this.#ofColumns.rows(transposeInto(row, transposed, columns), transposed);
      transposeInto(transposed, row, rows);
    }
    return rotated;
  }
}
