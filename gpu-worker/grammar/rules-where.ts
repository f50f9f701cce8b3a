/** Of which rules something holds that holds of a rule by its body, and by what holds of the rules it calls. */
import type { Expression, Grammar } from "./expression.ts";

/** @param holds of a body, where it holds of `found` */
export function rulesWhere(
  rules: Grammar["rules"],
  holds: (body: Expression, found: ReadonlySet<string>) => boolean,
): ReadonlySet<string> {
  const found = new Set<string>();
  // From either end in turn: rules mostly call those that come after them, or before.
  let open = [...rules];
  for (let before = -1; before !== found.size;) {
    before = found.size;
    open = open.toReversed().filter(([name, body]) => {
      if (!holds(body, found)) return true;
      found.add(name);
      return false;
    });
  }
  return found;
}
