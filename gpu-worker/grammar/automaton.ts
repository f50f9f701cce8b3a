/**
 * A grammar's rules as automata that read characters and call each other (a recursive transition network), and from
 * each state the cheapest way to the end of its rule.
 */
import { type CharacterSet, charactersOf, includes } from "./character-set.ts";
import { type Expression, type Grammar, StructureError, type TextState } from "./expression.ts";
import { plainCharacters } from "./json-text.ts";

/** Of a grammar, with what is repeated so many times counted each time. */
const statesMax = 250_000;
/** Rules of up to so many parts are copied to where they are called. */
const inlinedParts = 64;
/** Of grammars that have no more parts in all. */
const inlinedOfParts = 20_000;

/** How far a counted string has come: characters that may and that must still follow. */
export type Count = { readonly left: number; readonly need: number; readonly escaping: boolean };

type State = {
  readonly rule: number;
  /** Reached without reading. */
  readonly free: number[];
  /** Read, or called, on the way to `to`; both null: neither. */
  set: CharacterSet | null;
  call: number | null;
  to: number;
  count: Count | null;
};

/** What a state can do at once: states that read, states that call, and whether its rule may end. */
export type Reach = {
  readonly reads: readonly number[];
  readonly calls: readonly number[];
  readonly ends: boolean;
};

export class Automaton {
  readonly root: number;
  readonly #states: State[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #reaches: (Reach | undefined)[] = [];
  readonly #sets = new Map<number, CharacterSet>();
  readonly #grammar: Grammar;
  #reached = 0;

  constructor(grammar: Grammar) {
    const { root, rules } = grammar;
    this.#grammar = grammar;
    const ids = new Map([...rules.keys()].map((name, id) => [name, id]));
    const sizes = sizesOf(rules);
    const all = [...sizes.values()].reduce((sum, size) => sum + (size === Infinity ? 0 : size), 0);
    const most = all > inlinedOfParts ? 0 : inlinedParts;
    for (const id of ids.values()) {
      this.#starts[id] = this.#add(id);
      this.#ends[id] = this.#add(id);
    }
    const builder = {
      ids,
      rules,
      isInlined: (name: string) => (sizes.get(name) ?? 0) <= most,
    };
    for (const [name, body] of rules) {
      const id = ids.get(name) ?? 0;
      const end = this.#build(body, this.start(id), { ...builder, rule: id });
      this.#state(end).free.push(this.#ends[id] ?? 0);
    }
    this.root = ids.get(root) ?? 0;
  }

  get size(): number {
    return this.#states.length;
  }

  start(rule: number): number {
    return this.#starts[rule] ?? 0;
  }

  ruleOf(state: number): number {
    return this.#state(state).rule;
  }

  /** Whether the rule of this state ends here, whatever is reached from it. */
  isEnd(state: number): boolean {
    return this.#ends[this.ruleOf(state)] === state;
  }

  free(state: number): readonly number[] {
    return this.#state(state).free;
  }

  /** Where reading or calling leads to. */
  to(state: number): number {
    return this.#state(state).to;
  }

  reads(state: number): CharacterSet | null {
    return this.#state(state).set;
  }

  calls(state: number): number | null {
    return this.#state(state).call;
  }

  count(state: number): Count | null {
    return this.#state(state).count;
  }

  takes(state: number, codePoint: number): boolean {
    const { set } = this.#state(state);
    return set !== null && includes(set, codePoint);
  }

  reach(state: number): Reach {
    const known = this.#reaches[state];
    if (known !== undefined) return known;
    const seen = new Set([state]);
    const [reads, calls]: [number[], number[]] = [[], []];
    for (const each of seen) {
      const { free, set, call } = this.#state(each);
      if (set !== null) reads.push(each);
      if (call !== null) calls.push(each);
      for (const next of free) seen.add(next);
    }
    this.#reached += seen.size;
    if (this.#reached > 10 * statesMax) throw this.#tooLarge();
    const reach = { reads, calls, ends: seen.has(this.#ends[this.ruleOf(state)] ?? -1) };
    this.#reaches[state] = reach;
    return reach;
  }

  #state(at: number): State {
    const state = this.#states[at];
    if (state === undefined) throw new Error(`an automaton has no state ${at}`);
    return state;
  }

  #add(rule: number): number {
    if (this.#states.length >= statesMax) throw this.#tooLarge();
    return this.#states.push({ rule, free: [], set: null, call: null, to: 0, count: null }) - 1;
  }

  /** With the place in a schema that most of them come from. */
  #tooLarge(): StructureError {
    const counts = new Map<number, number>();
    for (const { rule } of this.#states) counts.set(rule, (counts.get(rule) ?? 0) + 1);
    const [largest] = [...counts].toSorted(([, a], [, b]) => b - a);
    const name = [...this.#grammar.rules.keys()][largest?.[0] ?? -1] ?? "";
    return new StructureError(
      `what is asked for comes to more than ${statesMax} states, each repetition counted. Ask for less at once`,
      this.#grammar.places?.get(name) ?? null,
    );
  }

  /** From a state without an edge to another such one. @returns the other */
  #edge(from: number, rule: number, edge: Partial<Pick<State, "set" | "call" | "count">>): number {
    const at = this.#add(rule);
    const to = this.#add(rule);
    this.#state(from).free.push(at);
    Object.assign(this.#state(at), edge, { to });
    return to;
  }

  /** @returns the state after the expression */
  #build(expression: Expression, from: number, builder: Builder): number {
    const { rule } = builder;
    switch (expression.kind) {
      case "text":
        return this.#text(expression.text, from, rule);
      case "set":
        return this.#edge(from, rule, { set: expression.set });
      case "sequence":
        return expression.parts.reduce((at, part) => this.#build(part, at, builder), from);
      case "choice": {
        const end = this.#add(rule);
        for (const option of expression.options) {
          const begin = this.#add(rule);
          this.#state(from).free.push(begin);
          this.#state(this.#build(option, begin, builder)).free.push(end);
        }
        return end;
      }
      case "repeat":
        return this.#repeat(expression, from, builder);
      case "counted":
        return this.#counted(expression, from, rule);
      case "states":
        return this.#given(expression.states, from, rule);
      case "rule": {
        const body = builder.rules.get(expression.name);
        if (body === undefined) throw new Error(`a grammar has no rule ${expression.name}`);
        if (builder.isInlined(expression.name)) return this.#build(body, from, builder);
        return this.#edge(from, rule, { call: builder.ids.get(expression.name) ?? 0 });
      }
    }
  }

  #repeat({ part, min, max }: Repeat, from: number, builder: Builder): number {
    let at = from;
    for (let times = 0; times < min; times += 1) at = this.#build(part, at, builder);
    const end = this.#add(builder.rule);
    if (max === null) {
      const loop = this.#add(builder.rule);
      this.#state(at).free.push(loop);
      this.#state(this.#build(part, loop, builder)).free.push(loop);
      this.#state(loop).free.push(end);
      return end;
    }
    for (let times = min; times < max; times += 1) {
      this.#state(at).free.push(end);
      at = this.#build(part, at, builder);
    }
    this.#state(at).free.push(end);
    return end;
  }

  #text(text: string, from: number, rule: number): number {
    let at = this.#add(rule);
    this.#state(from).free.push(at);
    for (const character of text) {
      const to = this.#add(rule);
      Object.assign(this.#state(at), { set: this.#alone(character.codePointAt(0) ?? 0), to });
      at = to;
    }
    return at;
  }

  #alone(codePoint: number): CharacterSet {
    const known = this.#sets.get(codePoint);
    if (known !== undefined) return known;
    const set = charactersOf([[codePoint, codePoint]]);
    this.#sets.set(codePoint, set);
    return set;
  }

  #given(states: readonly TextState[], from: number, rule: number): number {
    const end = this.#add(rule);
    const begins = states.map(() => this.#add(rule));
    this.#state(from).free.push(begins[0] ?? end);
    for (const [at, { ends, next }] of states.entries()) {
      const begin = begins[at] ?? end;
      if (ends) this.#state(begin).free.push(end);
      for (const { set, to } of next) {
        this.#state(this.#edge(begin, rule, { set })).free.push(begins[to] ?? end);
      }
    }
    return end;
  }

  #counted({ min, max }: Counted, from: number, rule: number): number {
    const end = this.#add(rule);
    let at = this.#add(rule);
    this.#state(from).free.push(at);
    for (let had = 0; had <= (max ?? min); had += 1) {
      if (had >= min) this.#state(at).free.push(end);
      if (had === max) {
        // It reads nothing: where it is reached, no character has room.
        this.#edge(at, rule, { set: [], count: { left: 0, need: 0, escaping: false } });
        break;
      }
      const left = max === null ? Infinity : max - had;
      const count = { left, need: Math.max(0, min - had), escaping: false };
      const after = { left: left - 1, need: Math.max(0, count.need - 1), escaping: true };
      const next = this.#edge(at, rule, { set: plainCharacters, count });
      const escaping = this.#edge(at, rule, { set: backslash, count });
      const escaped = this.#edge(escaping, rule, { set: escapes, count: after });
      this.#state(escaped).free.push(next);
      // Beyond what must come, any number may.
      if (had === min && max === null) this.#state(next).free.push(at);
      at = next;
    }
    return end;
  }
}

const backslash = charactersOf([[0x5c, 0x5c]]);
const escapes = charactersOf(
  [...'"\\/bfnrt'].map((each) => [each.charCodeAt(0), each.charCodeAt(0)]),
);

type Repeat = Extract<Expression, { kind: "repeat" }>;
type Counted = Extract<Expression, { kind: "counted" }>;
type Builder = {
  readonly rule: number;
  readonly ids: ReadonlyMap<string, number>;
  readonly rules: Grammar["rules"];
  isInlined(rule: string): boolean;
};

/** Parts of each rule with those it calls; infinite where it may call itself. */
function sizesOf(rules: Grammar["rules"]): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  const sizeOf = (expression: Expression): number => {
    switch (expression.kind) {
      case "text":
        return expression.text.length;
      case "set":
        return 1;
      case "counted":
        return expression.max ?? expression.min;
      case "states":
        return Infinity;
      case "sequence":
        return expression.parts.reduce((sum, part) => sum + sizeOf(part), 0);
      case "choice":
        return expression.options.reduce((sum, option) => sum + sizeOf(option), 1);
      case "repeat":
        return sizeOf(expression.part) * Math.max(1, expression.min, expression.max ?? 0);
      case "rule":
        return ofRule(expression.name);
    }
  };
  const ofRule = (name: string): number => {
    const known = sizes.get(name);
    if (known !== undefined) return known;
    // Of one that is come back to meanwhile.
    sizes.set(name, Infinity);
    const body = rules.get(name);
    const size = body === undefined ? 0 : sizeOf(body);
    sizes.set(name, size);
    return size;
  };
  for (const name of rules.keys()) ofRule(name);
  return sizes;
}
