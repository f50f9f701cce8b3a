/**
 * Rows of an embedding table by index. A table stored in int8 stays so in the graph and only the rows looked up become
 * floats: the same values as from the whole table, in a quarter of the memory.
 */
import type { Value } from "../onnx/value.ts";
import { tensor } from "../tensor/tensor.ts";
import type { Parameters } from "./parameters.ts";

export type TableShape = { readonly rows: number; readonly width: number };

/** `indices` [...] int64 → f32 [..., width]. */
export function lookUp(
  parameters: Parameters,
  name: string,
  { rows, width }: TableShape,
  indices: Value,
): Value {
  const { graph } = parameters;
  if (!parameters.isInt8(name)) return parameters.constant(name, [rows, width]).gather(indices, 0);
  const stored = parameters.int8Rows(name, width);
  const unique = graph.uniqueName(name);
  const values = graph.constant(tensor("int8", [rows, width], stored.values), unique);
  const scales = graph.constant(tensor("float32", [rows, 1], stored.scales), `${unique}.scale`);
  return values.gather(indices, 0).cast("float32").mul(scales.gather(indices, 0));
}
