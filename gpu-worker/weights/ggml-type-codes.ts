/**
 * Types of tensors as files number them: `ggml_type` in ggml.h. Those that are not read are refused by name.
 */
import { ggmlTypes } from "./ggml-blocks.ts";
import type { GgmlType } from "./ggml-blocks.ts";
import { WeightError } from "./weight-source.ts";

const typesByCode = new Map<number, GgmlType>();
for (const name of Object.keys(ggmlTypes)) {
  if (isGgmlType(name)) typesByCode.set(ggmlTypes[name].code, name);
}

function isGgmlType(name: string): name is GgmlType {
  return Object.hasOwn(ggmlTypes, name);
}

/** Types of ggml without a row in `ggmlTypes`, so that they can be refused by name. */
const unreadTypes = new Map([
  [9, "Q8_1"],
  [10, "Q2_K"],
  [11, "Q3_K"],
  [13, "Q5_K"],
  [15, "Q8_K"],
  [16, "IQ2_XXS"],
  [17, "IQ2_XS"],
  [18, "IQ3_XXS"],
  [19, "IQ1_S"],
  [20, "IQ4_NL"],
  [21, "IQ3_S"],
  [22, "IQ2_S"],
  [23, "IQ4_XS"],
  [24, "I8"],
  [25, "I16"],
  [26, "I32"],
  [27, "I64"],
  [28, "F64"],
  [29, "IQ1_M"],
  [34, "TQ1_0"],
  [35, "TQ2_0"],
  [39, "MXFP4"],
  [40, "NVFP4"],
  [41, "Q1_0"],
]);

/** @param field what has the type, as the error names it */
export function typeOfCode(code: number, field: string): GgmlType {
  const type = typesByCode.get(code);
  if (type !== undefined) return type;
  const name = unreadTypes.get(code) ?? `of unknown type ${code}`;
  const known = [...typesByCode.values()].join(", ");
  throw new WeightError(`${field} is ${name}, which is not read, only ${known}`);
}
