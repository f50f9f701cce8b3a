/**
 * The table of gradients: operator → rule. To teach autodiff an operator, add a row to one of the groups below.
 */
import type { Node } from "../onnx/graph.ts";
import { GraphError } from "../onnx/graph.ts";
import type { OperatorName } from "../onnx/operators.ts";
import type { Rule } from "./backward-node.ts";
import { activations } from "./rules/activations.ts";
import { arithmetic } from "./rules/arithmetic.ts";
import { convolution } from "./rules/convolution.ts";
import { layout } from "./rules/layout.ts";
import { linear } from "./rules/linear.ts";
import { lookUps } from "./rules/look-ups.ts";
import { normalisations } from "./rules/normalisations.ts";
import { reductions } from "./rules/reductions.ts";

export const rules = {
  ...arithmetic,
  ...activations,
  ...linear,
  ...convolution,
  ...layout,
  ...lookUps,
  ...reductions,
  ...normalisations,
} as const satisfies { readonly [O in OperatorName]?: Rule };

const rows: ReadonlyMap<string, Rule> = new Map(Object.entries(rules));

/** Operators whose inputs may be smaller than their result. */
export const broadcasting: ReadonlySet<string> = new Set(
  "Add Sub Mul Div Pow Max Min Where Expand MatMul Gemm com.microsoft.FusedMatMul".split(" "),
);

/** Outputs after the first that a rule reads, in order. */
const statistics: ReadonlyMap<string, readonly string[]> = new Map([
  ["LayerNormalization", ["mean", "inv_std_dev"]],
  ["SimplifiedLayerNormalization", ["inv_std_dev"]],
]);

export function operatorOf({ domain, operator }: Node): string {
  return domain === "" ? operator : `${domain}.${operator}`;
}

export function statisticsOf(node: Node): readonly string[] {
  return statistics.get(operatorOf(node)) ?? [];
}

/** @throws GraphError for an operator without one */
export function ruleOf(node: Node): Rule {
  const operator = operatorOf(node);
  const rule = rows.get(operator);
  if (rule === undefined) throw new GraphError(`"${node.name}": ${operator} has no gradient`);
  return rule;
}
