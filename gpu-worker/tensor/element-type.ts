/**
 * Element types as ONNX numbers them (TensorProto.DataType). Types that have no row here (strings, complex, float8)
 * are not read.
 */
import type { DType } from "./dtype.ts";

const rows: readonly (readonly [DType, number])[] = [
  ["float32", 1],
  ["uint8", 2],
  ["int8", 3],
  ["uint16", 4],
  ["int16", 5],
  ["int32", 6],
  ["int64", 7],
  ["bool", 9],
  ["float16", 10],
  ["float64", 11],
  ["uint32", 12],
  ["uint64", 13],
  ["bfloat16", 16],
];

const codes = new Map(rows);
const dtypes = new Map(rows.map(([dtype, code]) => [code, dtype]));

export function codeOfDtype(dtype: DType): number {
  return codes.get(dtype) ?? 0;
}

export function dtypeOfCode(code: number): DType | null {
  return dtypes.get(code) ?? null;
}
