/**
 * Languages of texts that an automaton of single states tells: patterns cut with each other, turned round, limited in
 * length. A state's sets have no character in common; a character that none has leads nowhere.
 */
import { Automaton } from "./automaton.ts";
import {
  allCharacters,
  type CharacterRange,
  type CharacterSet,
  characters,
  charactersOf,
  intersection,
  without,
} from "./character-set.ts";
import { type Expression, StructureError, type TextState } from "./expression.ts";

/** The first state is where a text begins. None: no text. */
export type Language = readonly TextState[];

const statesMax = 20_000;

export const allTexts: Language = [{ ends: true, next: [{ set: allCharacters, to: 0 }] }];

/** Of an expression without rules. @throws StructureError where it takes too many states */
export function languageOf(expression: Expression): Language {
  const automaton = new Automaton({ root: "text", rules: new Map([["text", expression]]) });
  return explored([automaton.start(automaton.root)], (states) => {
    const reaches = states.map((state) => automaton.reach(state));
    const readings = [...new Set(reaches.flatMap(({ reads }) => reads))];
    const edges = readings.map((state) => ({
      set: automaton.reads(state) ?? [],
      to: automaton.to(state),
    }));
    return { ends: reaches.some(({ ends }) => ends), next: apart(edges) };
  });
}

/** Exactly these. */
export function languageOfTexts(texts: readonly string[]): Language {
  type Node = { ends: boolean; readonly next: Map<string, number> };
  const nodes: Node[] = [{ ends: false, next: new Map() }];
  for (const text of texts) {
    let at = nodes[0];
    for (const character of text) {
      const known = at?.next.get(character);
      const to = known ?? nodes.push({ ends: false, next: new Map() }) - 1;
      at?.next.set(character, to);
      at = nodes[to];
    }
    if (at !== undefined) at.ends = true;
  }
  return nodes.map(({ ends, next }) => ({
    ends,
    next: [...next].map(([character, to]) => ({ set: characters(character), to })),
  }));
}

/** Texts of so many characters. @param max null: any number from `min` */
export function languageOfLengths(min: number, max: number | null): Language {
  const last = max ?? min;
  if (last >= statesMax) throw tooLarge();
  return Array.from({ length: last + 1 }, (_, had) => {
    const to = had < last ? had + 1 : max === null ? had : null;
    return { ends: had >= min, next: to === null ? [] : [{ set: allCharacters, to }] };
  });
}

/** Texts of both. */
export function both(a: Language, b: Language): Language {
  return trimmed(
    explored([0, 0], ([first = 0, second = 0]) => {
      const [one, other] = [a[first], b[second]];
      const next = (one?.next ?? []).flatMap((edge) =>
        (other?.next ?? []).flatMap(({ set, to }) => {
          const shared = intersection(edge.set, set);
          return shared.length === 0 ? [] : [{ set: shared, to: [edge.to, to] }];
        }),
      );
      return { ends: one?.ends === true && other?.ends === true, next };
    }),
  );
}

export function either(a: Language, b: Language): Language {
  return otherThan(both(otherThan(a), otherThan(b)));
}

/** All other texts. */
export function otherThan(language: Language): Language {
  const rest = language.length;
  const states = language.map(({ ends, next }) => {
    const other = next.reduce<CharacterSet>((left, { set }) => without(left, set), allCharacters);
    return {
      ends: !ends,
      next: other.length === 0 ? next : [...next, { set: other, to: rest }],
    };
  });
  return trimmed([...states, { ends: true, next: [{ set: allCharacters, to: rest }] }]);
}

export function isEmpty(language: Language): boolean {
  return !language.some(({ ends }) => ends);
}

/** Without states from which no text ends, or that none comes to. */
export function trimmed(language: Language): Language {
  const before: number[][] = language.map(() => []);
  for (const [at, { next }] of language.entries()) for (const { to } of next) before[to]?.push(at);
  const live = new Set(language.flatMap(({ ends }, at) => (ends ? [at] : [])));
  for (const at of live) for (const earlier of before[at] ?? []) live.add(earlier);
  if (!live.has(0)) return [];
  const found = [0];
  const ids = new Map([[0, 0]]);
  for (const at of found) {
    for (const { to } of language[at]?.next ?? []) {
      if (!live.has(to) || ids.has(to)) continue;
      ids.set(to, found.push(to) - 1);
    }
  }
  return found.map((at) => ({
    ends: language[at]?.ends === true,
    next: (language[at]?.next ?? []).flatMap(({ set, to }) => {
      const id = live.has(to) ? ids.get(to) : undefined;
      return id === undefined ? [] : [{ set, to: id }];
    }),
  }));
}

/** With as few states as can be, after Moore: states are told apart by where they lead. */
export function smallest(language: Language): Language {
  let classes: number[] = language.map(({ ends }) => (ends ? 1 : 0));
  for (let count = 0; ;) {
    const ids = new Map<string, number>();
    const next = language.map((state, at) => {
      const key = `${classes[at]} ${signature(state, classes)}`;
      const id = ids.get(key) ?? ids.size;
      ids.set(key, id);
      return id;
    });
    classes = next;
    if (ids.size === count) break;
    count = ids.size;
  }
  const firsts = new Map<number, TextState>();
  for (const [at, state] of language.entries()) {
    const own = classes[at] ?? 0;
    if (!firsts.has(own)) firsts.set(own, state);
  }
  return [...firsts.values()].map(({ ends, next }) => ({ ends, next: byTarget(next, classes) }));
}

function signature({ next }: TextState, classes: readonly number[]): string {
  return JSON.stringify(byTarget(next, classes).toSorted((a, b) => a.to - b.to));
}

function byTarget(next: TextState["next"], classes: readonly number[]): TextState["next"] {
  const ranges = new Map<number, CharacterRange[]>();
  for (const { set, to } of next) {
    const target = classes[to] ?? 0;
    ranges.set(target, [...(ranges.get(target) ?? []), ...set]);
  }
  return [...ranges].map(([to, all]) => ({ set: charactersOf(all), to }));
}

type Edge = { readonly set: CharacterSet; readonly to: number };
type Edges = { ends: boolean; next: { set: CharacterSet; to: readonly number[] }[] };

/** All that is come to from a first state, each of which is a list of others' states. */
function explored(
  first: readonly number[],
  edgesOf: (state: readonly number[]) => Edges,
): Language {
  const ids = new Map([[first.join(), 0]]);
  const open = [first];
  const states: TextState[] = [];
  for (const each of open) {
    const { ends, next } = edgesOf(each);
    const edges = next.map(({ set, to }) => {
      const key = to.join();
      const known = ids.get(key);
      const id = known ?? open.push(to) - 1;
      if (known === undefined) ids.set(key, id);
      return { set, to: id };
    });
    if (open.length > statesMax) throw tooLarge();
    states.push({ ends, next: edges });
  }
  return states;
}

/** Edges that may read the same character, as sets that have none in common, each with all it leads to. */
function apart(edges: readonly Edge[]): { set: CharacterSet; to: number[] }[] {
  const events = edges
    .flatMap(({ set, to }) =>
      set.flatMap(([from, end]) => [
        { at: from, to, by: 1 },
        { at: end + 1, to, by: -1 },
      ]),
    )
    .toSorted((a, b) => a.at - b.at);
  const open = new Map<number, number>();
  const byTargets = new Map<string, { ranges: CharacterRange[]; to: number[] }>();
  for (const [index, { at, to, by }] of events.entries()) {
    const count = (open.get(to) ?? 0) + by;
    if (count === 0) open.delete(to);
    else open.set(to, count);
    const next = events[index + 1]?.at ?? at;
    if (next === at || open.size === 0) continue;
    const targets = [...open.keys()].toSorted((a, b) => a - b);
    const key = targets.join();
    const known = byTargets.get(key);
    if (known === undefined) byTargets.set(key, { ranges: [[at, next - 1]], to: targets });
    else known.ranges.push([at, next - 1]);
  }
  return [...byTargets.values()].map(({ ranges, to }) => ({ set: charactersOf(ranges), to }));
}

function tooLarge(): StructureError {
  return new StructureError(
    `what is asked of one text comes to more than ${statesMax} states. Ask for less at once, or for shorter texts`,
  );
}
