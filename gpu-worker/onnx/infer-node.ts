/**
 * The types of one node's results, by the rule of its operator's row; refuses what the row does not allow.
 */
import { GraphError } from "./graph.ts";
import type { Node } from "./graph.ts";
import { NodeView } from "./operator.ts";
import type { Arity, Inferred, Operator } from "./operator.ts";
import { findOperator } from "./operators.ts";

function expectArity(node: Node, what: "inputs" | "outputs", [least, most]: Arity): void {
  const count = node[what].length;
  if (count >= least && count <= most) return;
  const range = least === most ? `${least}` : `${least} to ${most}`;
  throw new GraphError(
    `${node.operator} "${node.name}": ${count} ${what}, the operator has ${range}`,
  );
}

function expectAttributes(node: Node, row: Operator): void {
  for (const [name, attribute] of Object.entries(node.attributes)) {
    const kind = row.attributes?.[name];
    if (kind === attribute.kind) continue;
    const reason = kind === undefined ? "is not known" : `is ${attribute.kind}, expected ${kind}`;
    throw new GraphError(`${node.operator} "${node.name}": attribute "${name}" ${reason}`);
  }
}

/** `typeOf` gives the type of a value by name, or null if there is none. One result per output of the node. */
export function inferNode(node: Node, typeOf: (name: string) => Inferred | null): Inferred[] {
  const row = findOperator(node.domain, node.operator);
  if (row === null) {
    const domain = node.domain === "" ? "the standard" : node.domain;
    throw new GraphError(`"${node.name}": no operator ${node.operator} in ${domain}`);
  }
  expectArity(node, "inputs", row.inputs);
  expectArity(node, "outputs", row.outputs ?? [1, 1]);
  expectAttributes(node, row);
  const inputs = node.inputs.map((name) => {
    if (name === "") return null;
    const type = typeOf(name);
    if (type !== null) return type;
    throw new GraphError(`${node.operator} "${node.name}": nothing is named "${name}" before it`);
  });
  const inferred = row.infer(new NodeView(node, inputs));
  const results: readonly Inferred[] = "dtype" in inferred ? [inferred] : inferred;
  return node.outputs.map(
    (name, index) =>
      results[index] ?? new NodeView(node, inputs).fail(`it has no output ${index} ("${name}")`),
  );
}
