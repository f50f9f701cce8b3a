/**
 * A tensor in host memory: element type, shape, and its elements in row-major order.
 * Testing `dtype` narrows the type of `data`. Holds no operators.
 */
import { arrayTypes } from "./dtype.ts";
import type { ArrayOf, DType } from "./dtype.ts";
import { elementCount } from "./shape.ts";
import type { Shape } from "./shape.ts";

export type Tensor<D extends DType = DType> = {
  [K in D]: { readonly dtype: K; readonly shape: Shape; readonly data: ArrayOf[K] };
}[D];

/** Throws unless `data` has exactly as many elements as `shape` says. */
export function tensor<D extends DType>(dtype: D, shape: Shape, data: ArrayOf[D]): Tensor<D> {
  if (data.length !== elementCount(shape)) {
    throw new RangeError(`${data.length} elements do not fill the shape [${shape.join(", ")}]`);
  }
  return { dtype, shape, data };
}

export function float32(shape: Shape, values: Iterable<number>): Tensor<"float32"> {
  return tensor("float32", shape, Float32Array.from(values));
}

export function int64(shape: Shape, values: Iterable<number | bigint>): Tensor<"int64"> {
  return tensor("int64", shape, BigInt64Array.from(values, BigInt));
}

/** The elements of `bytes` (little-endian) as an array of `dtype`: a view where alignment allows it, else a copy. */
export function arrayFromBytes<D extends DType>(dtype: D, bytes: Uint8Array): ArrayOf[D] {
  const type = arrayTypes[dtype];
  const length = bytes.byteLength / type.BYTES_PER_ELEMENT;
  if (!Number.isInteger(length)) {
    throw new RangeError(`${bytes.byteLength} bytes are no whole number of ${dtype}`);
  }
  // Not `slice`: a Buffer's shares its memory.
  const aligned = bytes.byteOffset % type.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes);
  return new type(aligned.buffer, aligned.byteOffset, length);
}

/** A tensor over bytes whose element type is known only at run time; shares their memory where alignment allows it. */
export function tensorFromBytes<D extends DType>(
  dtype: D,
  shape: Shape,
  bytes: Uint8Array,
): Tensor<D> {
  return { dtype, shape, data: arrayFromBytes(dtype, bytes) };
}

/** The elements' memory as bytes, shared, not copied. Every platform this runs on is little-endian. */
export function bytesOf(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
