/**
 * Weights as float32, from whatever form they are stored in: f32, f16, bf16, f64, or int8 with a scale per row.
 */
import { bfloat16ToFloat32, float16ToFloat32 } from "../tensor/float16.ts";
import { dequantiseRows, scaleSuffix } from "./int8-rows.ts";
import type { Int8Rows } from "./int8-rows.ts";
import { WeightError } from "./weight-source.ts";
import type { WeightSource } from "./weight-source.ts";

/** `name` as int8 rows if it is stored so, else null. */
export function readInt8Rows(source: WeightSource, name: string): Int8Rows | null {
  const entry = source.entry(name);
  const scaleEntry = source.entry(name + scaleSuffix);
  if (entry?.dtype !== "int8" || scaleEntry?.dtype !== "float32") return null;
  const values = source.read(name);
  const scales = source.read(name + scaleSuffix);
  if (values.dtype !== "int8" || scales.dtype !== "float32") return null;
  const [rows, columns, ...rest] = values.shape;
  if (rows === undefined || columns === undefined || rest.length > 0) {
    throw new WeightError(`"${name}" is no matrix`);
  }
  if (scales.data.length !== rows) {
    throw new WeightError(`"${name}" has ${rows} rows and ${scales.data.length} scales`);
  }
  return { rows, columns, values: values.data, scales: scales.data };
}

/** Row-major elements. Throws `WeightError` if there is no such tensor or it does not hold real numbers. */
export function readFloat32(source: WeightSource, name: string): Float32Array {
  const stored = readInt8Rows(source, name);
  if (stored !== null) return dequantiseRows(stored);
  const tensor = source.read(name);
  switch (tensor.dtype) {
    case "float32":
      return tensor.data;
    case "float16":
      return float16ToFloat32(tensor.data);
    case "bfloat16":
      return bfloat16ToFloat32(tensor.data);
    case "float64":
      return Float32Array.from(tensor.data);
    default:
      throw new WeightError(`"${name}" is ${tensor.dtype}, expected real numbers`);
  }
}
