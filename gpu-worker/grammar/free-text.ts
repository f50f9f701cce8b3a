/** Text that has none of some strings in it, as an automaton: Aho and Corasick's, without the states where one ends. */
import { allCharacters, characters, without } from "./character-set.ts";
import type { TextState } from "./expression.ts";

type Node = { readonly children: Map<string, Node>; readonly prefix: string };

/** The first is where text begins. */
export function freeText(strings: readonly string[]): TextState[] {
  const root: Node = { children: new Map(), prefix: "" };
  const nodes = new Map<string, Node>([["", root]]);
  for (const string of strings) {
    let at = root;
    for (const character of string) {
      const prefix = at.prefix + character;
      const next = at.children.get(character) ?? {
        children: new Map<string, Node>(),
        prefix,
      };
      at.children.set(character, next);
      nodes.set(prefix, next);
      at = next;
    }
  }
  const live = [...nodes.values()].filter(({ prefix }) => !hasString(prefix, strings));
  const ids = new Map(live.map(({ prefix }, id) => [prefix, id]));
  const alphabet = [...new Set(strings.flatMap((string) => [...string]))];
  const other = without(allCharacters, characters(alphabet.join("")));
  return live.map(({ prefix }) => ({
    ends: true,
    next: [
      { set: other, to: 0 },
      ...alphabet.flatMap((character) => {
        const to = ids.get(longestSuffix(prefix + character, nodes));
        const ends = hasString(prefix + character, strings);
        return to === undefined || ends ? [] : [{ set: characters(character), to }];
      }),
    ],
  }));
}

function hasString(text: string, strings: readonly string[]): boolean {
  return strings.some((string) => text.includes(string));
}

function longestSuffix(text: string, nodes: ReadonlyMap<string, Node>): string {
  const all = [...text];
  for (let from = 0; from < all.length; from += 1) {
    const suffix = all.slice(from).join("");
    if (nodes.has(suffix)) return suffix;
  }
  return "";
}
