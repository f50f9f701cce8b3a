/**
 * Element types as ONNX numbers them (TensorProto.DataType), and ONNX Runtime's C API with it
 * (ONNXTensorElementDataType). What has no row here is in no tensor of ours: strings, complex numbers, 8-bit floats,
 * types narrower than a byte.
 */
import type { DType } from "./dtype.ts";

const codes: { readonly [D in DType]: number } = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
};

function isDType(name: string): name is DType {
  return name in codes;
}

const dtypes = new Map<number, DType>();
for (const [name, code] of Object.entries(codes)) {
  if (isDType(name)) dtypes.set(code, name);
}

export function codeOfDtype(dtype: DType): number {
  return codes[dtype];
}

/** Null for a type without a row. */
export function dtypeOfCode(code: number): DType | null {
  return dtypes.get(code) ?? null;
}
