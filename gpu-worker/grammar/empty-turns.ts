/**
 * The same grammar without repetitions that could go on for ever without a character: XGrammar's stack would not hold
 * them.
 */
import {
  choice,
  type Expression,
  type Grammar,
  isNever,
  repeat,
  sequence,
  StructureError,
} from "./expression.ts";
import { rulesWhere } from "./rules-where.ts";

/** Of a sequence that is repeated and may be empty. */
const emptyPartsMax = 100;

/** @throws StructureError where a rule is repeated that may be empty, or calls itself with nothing read */
export function withoutEmptyTurns({ root, rules }: Grammar): Grammar {
  const empties = rulesWhere(rules, mayBeEmpty);
  const turns = new EmptyTurns(empties);
  refuseLoops(rules, empties);
  return { root, rules: new Map([...rules].map(([name, body]) => [name, turns.rewrite(body)])) };
}

class EmptyTurns {
  readonly #empties: ReadonlySet<string>;

  constructor(empties: ReadonlySet<string>) {
    this.#empties = empties;
  }

  rewrite(expression: Expression): Expression {
    switch (expression.kind) {
      case "sequence":
        return sequence(...expression.parts.map((part) => this.rewrite(part)));
      case "choice":
        return choice(...expression.options.map((option) => this.rewrite(option)));
      case "repeat": {
        const { min, max } = expression;
        const part = this.rewrite(expression.part);
        if (max !== null || !mayBeEmpty(part, this.#empties)) return repeat(part, min, max);
        return repeat(this.#nonEmpty(part), 0, null);
      }
      default:
        return expression;
    }
  }

  #nonEmpty(expression: Expression): Expression {
    if (!mayBeEmpty(expression, this.#empties)) return expression;
    switch (expression.kind) {
      case "sequence": {
        const { parts } = expression;
        if (parts.length > emptyPartsMax) throw tooManyEmpty();
        const begun = parts.map((part, at) =>
          sequence(this.#nonEmpty(part), ...parts.slice(at + 1)),
        );
        return choice(...begun.filter((each) => !isNever(each)));
      }
      case "choice": {
        const options = expression.options.map((option) => this.#nonEmpty(option));
        return choice(...options.filter((each) => !isNever(each)));
      }
      case "repeat":
        return repeat(this.#nonEmpty(expression.part), 1, expression.max);
      default:
        throw new StructureError(
          "it repeats a rule that may be empty, without end: have the rule begin with something",
        );
    }
  }
}

function tooManyEmpty(): StructureError {
  return new StructureError(
    `it repeats more than ${emptyPartsMax} parts that may be empty, without end. Repeat less at once`,
  );
}

function mayBeEmpty(expression: Expression, empties: ReadonlySet<string>): boolean {
  switch (expression.kind) {
    case "sequence":
      return expression.parts.every((part) => mayBeEmpty(part, empties));
    case "choice":
      return expression.options.some((option) => mayBeEmpty(option, empties));
    case "repeat":
      return expression.min === 0 || mayBeEmpty(expression.part, empties);
    case "counted":
      return expression.min === 0;
    case "states":
      return expression.states[0]?.ends === true;
    case "rule":
      return empties.has(expression.name);
    default:
      return false;
  }
}

/** Rules that a rule may call with nothing read before and nothing left to read after. */
function onlyCalls(expression: Expression, empties: ReadonlySet<string>): string[] {
  switch (expression.kind) {
    case "rule":
      return [expression.name];
    case "choice":
      return expression.options.flatMap((option) => onlyCalls(option, empties));
    case "repeat":
      return onlyCalls(expression.part, empties);
    case "sequence": {
      const full = expression.parts.filter((part) => !mayBeEmpty(part, empties));
      if (full.length > 1) return [];
      const alone = full.length === 1 ? full : expression.parts;
      return alone.flatMap((part) => onlyCalls(part, empties));
    }
    default:
      return [];
  }
}

function refuseLoops(rules: Grammar["rules"], empties: ReadonlySet<string>): void {
  const calls = new Map([...rules].map(([name, body]) => [name, onlyCalls(body, empties)]));
  const safe = new Set<string>();
  for (const first of rules.keys()) {
    const path = new Set<string>();
    const stack: { name: string; rest: string[] }[] = [
      { name: first, rest: [...(calls.get(first) ?? [])] },
    ];
    path.add(first);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const next = top.rest.pop();
      if (next === undefined) {
        safe.add(top.name);
        path.delete(top.name);
        stack.pop();
      } else if (path.has(next)) {
        throw new StructureError(
          `the rule ${next} is defined as itself. Have it begin with something`,
        );
      } else if (!safe.has(next)) {
        path.add(next);
        stack.push({ name: next, rest: [...(calls.get(next) ?? [])] });
      }
    }
  }
}
