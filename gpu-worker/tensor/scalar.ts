/**
 * One number as a tensor without axes, of any element type.
 */
import type { DType } from "./dtype.ts";
import { float32ToBfloat16, float32ToFloat16 } from "./float16.ts";
import { tensor } from "./tensor.ts";
import type { Tensor } from "./tensor.ts";

const makers: { readonly [D in DType]: (value: number) => Tensor } = {
  float32: (value) => tensor("float32", [], Float32Array.of(value)),
  float64: (value) => tensor("float64", [], Float64Array.of(value)),
  float16: (value) => tensor("float16", [], float32ToFloat16(Float32Array.of(value))),
  bfloat16: (value) => tensor("bfloat16", [], float32ToBfloat16(Float32Array.of(value))),
  int8: (value) => tensor("int8", [], Int8Array.of(value)),
  uint8: (value) => tensor("uint8", [], Uint8Array.of(value)),
  int16: (value) => tensor("int16", [], Int16Array.of(value)),
  uint16: (value) => tensor("uint16", [], Uint16Array.of(value)),
  int32: (value) => tensor("int32", [], Int32Array.of(value)),
  uint32: (value) => tensor("uint32", [], Uint32Array.of(value)),
  int64: (value) => tensor("int64", [], BigInt64Array.of(BigInt(value))),
  uint64: (value) => tensor("uint64", [], BigUint64Array.of(BigInt(value))),
  bool: (value) => tensor("bool", [], Uint8Array.of(value === 0 ? 0 : 1)),
};

/** Throws `RangeError` for a fraction of a 64-bit integer type. */
export function scalar(dtype: DType, value: number): Tensor {
  return makers[dtype](value);
}
