/** A grammar without what never comes to an end: a text that has begun so could not go on. */
import {
  choice,
  empty,
  type Expression,
  type Grammar,
  never,
  repeat,
  sequence,
} from "./expression.ts";

export function onlyProductive({ root, rules }: Grammar): Grammar {
  const productive = productiveRules(rules);
  if (!productive.has(root)) return { root, rules: new Map([[root, never]]) };
  const kept = [...rules].filter(([name]) => productive.has(name));
  return { root, rules: new Map(kept.map(([name, body]) => [name, pruned(body, productive)])) };
}

function ends(expression: Expression, productive: ReadonlySet<string>): boolean {
  switch (expression.kind) {
    case "sequence":
      return expression.parts.every((part) => ends(part, productive));
    case "choice":
      return expression.options.some((option) => ends(option, productive));
    case "repeat":
      return expression.min === 0 || ends(expression.part, productive);
    case "rule":
      return productive.has(expression.name);
    default:
      return true;
  }
}

function productiveRules(rules: Grammar["rules"]): ReadonlySet<string> {
  const productive = new Set<string>();
  // From either end in turn: rules mostly call those that come after them, or before.
  let open = [...rules];
  for (let before = -1; before !== productive.size;) {
    before = productive.size;
    open = open.toReversed().filter(([name, body]) => {
      if (!ends(body, productive)) return true;
      productive.add(name);
      return false;
    });
  }
  return productive;
}

function pruned(expression: Expression, productive: ReadonlySet<string>): Expression {
  switch (expression.kind) {
    case "sequence":
      return sequence(...expression.parts.map((part) => pruned(part, productive)));
    case "choice": {
      const options = expression.options.filter((option) => ends(option, productive));
      return choice(...options.map((option) => pruned(option, productive)));
    }
    case "repeat":
      if (!ends(expression.part, productive)) return expression.min === 0 ? empty : choice();
      return repeat(pruned(expression.part, productive), expression.min, expression.max);
    default:
      return expression;
  }
}
