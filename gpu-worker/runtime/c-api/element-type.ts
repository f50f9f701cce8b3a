/** Element types by their number in ONNX (TensorProto.DataType, the same as ONNXTensorElementDataType). */
import type { DType } from "../../tensor/dtype.ts";

const numbers: { readonly [D in DType]: number } = {
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

const byNumber = new Map<number, DType>();
for (const [dtype, number] of Object.entries(numbers)) {
  if (isDType(dtype)) byNumber.set(number, dtype);
}

function isDType(name: string): name is DType {
  return name in numbers;
}

export function elementTypeNumber(dtype: DType): number {
  return numbers[dtype];
}

/** @returns undefined for what no tensor of ours holds: strings, complex numbers, types narrower than a byte */
export function dtypeOf(number: number): DType | undefined {
  return byNumber.get(number);
}
