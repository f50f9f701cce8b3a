/**
 * The weights of layers that are one product: their matrices below each other, [outputs, inputs] row-major as
 * checkpoints keep them, and their biases behind each other.
 */
import type { Value } from "../onnx/value.ts";
import type { Projection } from "./decoder-products.ts";
import { padRows, sizeOf, storedSize } from "./feature-heads.ts";
import type { Features } from "./feature-heads.ts";
import type { Parameters, StoredTensor } from "./parameters.ts";
import { transposeMatrix } from "./transpose-matrix.ts";

export type ProjectionMatrix = {
  /** Of the first. */
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly parts: readonly StoredTensor[];
  /** Whether it has more rows and columns than are stored. */
  readonly padded: boolean;
  readonly load: () => Float32Array;
};

function concat(parts: readonly Float32Array[]): Float32Array {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function outputsOf({ layers }: Projection): number {
  return layers.reduce((sum, { outputs }) => sum + sizeOf(outputs), 0);
}

/** `matrix` row-major, with a column for each feature. */
export function padColumns(matrix: Float32Array, features: Features): Float32Array {
  if (storedSize(features) === sizeOf(features)) return matrix;
  const rows = matrix.length / storedSize(features);
  const padded = padRows(transposeMatrix(matrix, storedSize(features)), features, rows);
  return transposeMatrix(padded, rows);
}

/** @throws WeightError for tensors that are missing or of other shapes */
export function matrixOf(parameters: Parameters, projection: Projection): ProjectionMatrix {
  const { inputs, layers } = projection;
  const stored = storedSize(inputs);
  const parts = layers.map(({ name, outputs }) => ({
    name: `${name}.weight`,
    shape: [storedSize(outputs), stored],
  }));
  const read = parameters.reader(parts);
  const features = [inputs, ...layers.map(({ outputs }) => outputs)];
  return {
    name: parts[0]?.name ?? "",
    rows: outputsOf(projection),
    columns: sizeOf(inputs),
    parts,
    padded: features.some((each) => storedSize(each) !== sizeOf(each)),
    load: () => {
      const rows = read().map((part, at) => padRows(part, layers[at]?.outputs ?? 0, stored));
      return padColumns(concat(rows), inputs);
    },
  };
}

/** f32 [outputs]. @throws WeightError as `matrixOf` */
export function biasOf(parameters: Parameters, projection: Projection): Value {
  const { layers } = projection;
  const parts = layers.map(({ name, outputs }) => ({
    name: `${name}.bias`,
    shape: [storedSize(outputs)],
  }));
  return parameters.combined(parts, [outputsOf(projection)], (tensors) =>
    concat(tensors.map((part, at) => padRows(part, layers[at]?.outputs ?? 0, 1))),
  );
}
