/**
 * The linear layers of a decoder in float32. Layers that read the same input are one product: a step of decoding reads
 * every weight once and computes little, so that fewer and larger products are faster.
 */
import type { Value } from "../onnx/value.ts";
import { padRows, sizeOf, storedSize } from "./feature-heads.ts";
import type { Features } from "./feature-heads.ts";
import type { Parameters } from "./parameters.ts";
import { transposeMatrix } from "./transpose-matrix.ts";

export type Projection = {
  readonly inputs: Features;
  /** The checkpoint's `name`.weight [outputs, inputs] and, with biases, `name`.bias [outputs]. */
  readonly layers: readonly { readonly name: string; readonly outputs: Features }[];
  readonly bias: boolean;
};

/** What all layers give for `x` [tokens, inputs], side by side, [tokens, outputs]. */
export type Project = (x: Value, projection: Projection) => Value;

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

export function f32Projections(parameters: Parameters): Project {
  return (x, { inputs, layers, bias }) => {
    const columns = storedSize(inputs);
    const total = layers.reduce((sum, { outputs }) => sum + sizeOf(outputs), 0);
    const padded = (tensors: readonly Float32Array[], width: number) =>
      concat(tensors.map((rows, at) => padRows(rows, layers[at]?.outputs ?? 0, width)));
    const matrices = layers.map(({ name, outputs }) => ({
      name: `${name}.weight`,
      shape: [storedSize(outputs), columns],
    }));
    const weight = parameters.combined(matrices, [sizeOf(inputs), total], (tensors) =>
      padRows(transposeMatrix(padded(tensors, columns), columns), inputs, total),
    );
    if (!bias) return x.matMul(weight);
    const vectors = layers.map(({ name, outputs }) => ({
      name: `${name}.bias`,
      shape: [storedSize(outputs)],
    }));
    const shift = parameters.combined(vectors, [total], (tensors) => padded(tensors, 1));
    return x.op("Gemm", [weight, shift]);
  };
}
