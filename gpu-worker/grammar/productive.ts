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
import { rulesWhere } from "./rules-where.ts";

export function onlyProductive({ root, rules }: Grammar): Grammar {
  const productive = rulesWhere(rules, ends);
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
