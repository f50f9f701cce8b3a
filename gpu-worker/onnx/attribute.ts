/**
 * Attributes from the plain values a caller writes: the kind comes from the operator's row, so that 1 is an int or a
 * float as the operator says, never by how the number looks.
 */
import { GraphError } from "./graph.ts";
import type { Attribute, AttributeKind } from "./graph.ts";
import type { AttributeInput } from "./value.ts";

function isTensor(input: AttributeInput): input is Extract<AttributeInput, { dtype: unknown }> {
  return typeof input === "object" && "dtype" in input;
}

function scalarAttribute(kind: AttributeKind, input: number | string): Attribute | null {
  if (typeof input === "string") return kind === "string" ? { kind, value: input } : null;
  if (kind === "int" && Number.isInteger(input)) return { kind, value: BigInt(input) };
  return kind === "float" ? { kind, value: Math.fround(input) } : null;
}

function listAttribute(
  kind: AttributeKind,
  input: readonly (number | string | bigint)[],
): Attribute | null {
  if (kind === "strings") return { kind, value: input.map(String) };
  if (kind === "ints") return { kind, value: input.map(BigInt) };
  return kind === "floats" ? { kind, value: input.map((item) => Math.fround(Number(item))) } : null;
}

/** Throws `GraphError` if `input` is not of `kind`; `where` opens the message. */
export function toAttribute(kind: AttributeKind, input: AttributeInput, where: string): Attribute {
  if (typeof input === "object" && "nodes" in input) {
    if (kind === "graph") return { kind, value: input };
    throw new GraphError(`${where}: a graph is no ${kind}`);
  }
  if (isTensor(input)) {
    if (kind === "tensor") return { kind, value: input };
    throw new GraphError(`${where}: a tensor is no ${kind}`);
  }
  const attribute =
    typeof input === "object" ? listAttribute(kind, input) : scalarAttribute(kind, input);
  if (attribute === null) throw new GraphError(`${where}: ${String(input)} is no ${kind}`);
  return attribute;
}
