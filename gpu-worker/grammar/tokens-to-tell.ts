/**
 * How many tokens XGrammar would look at to compile a grammar: at each place those that begin with what may come there.
 * An estimate, which tells what is worth compiling.
 */
import { type CharacterSet, includes } from "./character-set.ts";
import type { Expression, Grammar } from "./expression.ts";
import { jsonCharacter } from "./json-text.ts";
import type { TokenTable } from "./token-table.ts";

/** What a place of a text costs, and a rule, whatever may come there: as much as so many tokens. */
const ofPlace = 40;
const ofRule = 1_000;

/** @returns with the place in a schema that most of them come from; null: it is not known */
export function tokensToTell(
  { rules, places }: Grammar,
  table: TokenTable,
): { tokens: number; place: string | null } {
  const ofSets = new Map<CharacterSet, number>();
  const beginning = (set: CharacterSet): number => {
    const known = ofSets.get(set);
    if (known !== undefined) return known;
    let tokens = ofPlace;
    for (const [codePoint, count] of table.firsts) if (includes(set, codePoint)) tokens += count;
    ofSets.set(set, tokens);
    return tokens;
  };
  const tell = (expression: Expression): number => {
    switch (expression.kind) {
      case "text":
        return ofPlace * expression.text.length;
      case "set":
        return beginning(expression.set);
      case "sequence":
        return sum(expression.parts.map(tell));
      case "choice":
        return sum(expression.options.map(tell));
      case "repeat":
        return tell(expression.part) * Math.max(1, expression.min, expression.max ?? 0);
      case "counted":
        return tell(jsonCharacter);
      case "states":
        return sum(
          expression.states.map(({ next }) => ofRule + sum(next.map(({ set }) => beginning(set)))),
        );
      case "rule":
        return 0;
    }
  };
  const ofPlaces = new Map<string, number>();
  let tokens = 0;
  for (const [name, body] of rules) {
    const ofBody = tell(body);
    tokens += ofBody;
    const place = places?.get(name);
    if (place !== undefined) ofPlaces.set(place, (ofPlaces.get(place) ?? 0) + ofBody);
  }
  const [costliest] = [...ofPlaces].toSorted(([, a], [, b]) => b - a);
  return { tokens, place: costliest?.[0] ?? null };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, each) => all + each, 0);
}
