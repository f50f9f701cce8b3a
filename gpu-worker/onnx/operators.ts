/**
 * The table of operators a graph may use: name → arity, attributes, rule for the types of its results.
 * A name with dots belongs to the domain before the last dot. To teach the builder an operator, add a row to one of
 * the groups below.
 */
import type { Operator } from "./operator.ts";
import { attention } from "./operators/attention.ts";
import { control } from "./operators/control.ts";
import { elementwise } from "./operators/elementwise.ts";
import { layout } from "./operators/layout.ts";
import { linear } from "./operators/linear.ts";
import { quantisation } from "./operators/quantisation.ts";
import { reductions } from "./operators/reduction.ts";

export const operators = {
  ...elementwise,
  ...linear,
  ...layout,
  ...reductions,
  ...quantisation,
  ...attention,
  ...control,
} as const;

export type OperatorName = keyof typeof operators;

const rows: ReadonlyMap<string, Operator> = new Map(Object.entries(operators));

export function findOperator(domain: string, operator: string): Operator | null {
  return rows.get(domain === "" ? operator : `${domain}.${operator}`) ?? null;
}

/** "com.microsoft.Gelu" → its domain and its name there. */
export function splitOperatorName(name: OperatorName): { domain: string; operator: string } {
  const dot = name.lastIndexOf(".");
  return { domain: name.slice(0, Math.max(dot, 0)), operator: name.slice(dot + 1) };
}
