/**
 * Where in a grammar a text stands, after Earley: for each character all the states of rules that it may have come
 * to, and where each rule began. XGrammar tells which tokens may come next; this tells what it does not: how a text
 * can end, what nothing else can follow, and how long a counted string is.
 */
import type { Automaton, Count } from "./automaton.ts";
import { type CharacterSet, includes, intersection } from "./character-set.ts";
import { StructureError } from "./expression.ts";
import { plainCharacters } from "./json-text.ts";
import type { ShortestWays } from "./shortest-ways.ts";
import { rangeOf } from "./utf8.ts";

/** States that a text may be in at once: a grammar that leaves so much open takes too long to follow. */
const itemsMax = 4_096;

/** Items as pairs of a state and where its rule began. */
type Column = {
  readonly states: number[];
  readonly origins: number[];
  /** By rule: those who wait for it from here on, as pairs of the state after it and where theirs began. */
  waiting: Map<number, number[]> | null;
  ended: boolean;
  /** Those items that were read up to, which the others follow from. */
  kernel: number;
  readers: Readers | null;
};

type Reader = { readonly set: CharacterSet; readonly to: number; readonly origin: number };
type Readers = {
  /** Those of one character, by it, where there are many in all. */
  readonly single: ReadonlyMap<number, readonly Reader[]> | null;
  readonly wide: readonly Reader[];
  /** Columns known to follow, by which of `wide` read the character. */
  after: Map<number, Column> | null;
};
/** As many as bits of a number tell of. */
const wideKnownMax = 30;

type Node = { rule: number; origin: number; cost: number; state: number; before: Node | null };

export class Chart {
  readonly #automaton: Automaton;
  readonly #ways: ShortestWays;
  readonly #columns: Column[] = [];

  constructor(automaton: Automaton, ways: ShortestWays) {
    this.#automaton = automaton;
    this.#ways = ways;
    this.#columns.push(this.#column([[automaton.start(automaton.root), 0]]));
  }

  /** Characters read. */
  get length(): number {
    return this.#columns.length - 1;
  }

  /** Whether the text may end here. */
  get ended(): boolean {
    return this.#last.ended;
  }

  /** Where the text stands: the same object where the same may follow. */
  get place(): object {
    return this.#last;
  }

  /** @returns whether the character may come here; where not, nothing has changed */
  advance(codePoint: number): boolean {
    const last = this.#last;
    const readers = (last.readers ??= this.#readersOf(last));
    const single = readers.single?.get(codePoint);
    const wide: Reader[] = [];
    let bits = 0;
    for (const [at, reader] of readers.wide.entries()) {
      if (!includes(reader.set, codePoint)) continue;
      wide.push(reader);
      if (at < wideKnownMax) bits |= 1 << at;
    }
    if (single === undefined && wide.length === 0) return false;
    const isTold = single === undefined && readers.wide.length <= wideKnownMax;
    const known = isTold ? readers.after?.get(bits) : undefined;
    const next = known ?? this.#after(last, [...(single ?? []), ...wide]);
    this.#columns.push(next);
    // Where a rule begins in it, it is of its place alone; and what one character reads comes once.
    if (isTold && known === undefined && next.waiting === null && !wide.every(isSingle)) {
      readers.after ??= new Map();
      readers.after.set(bits, next);
    }
    return true;
  }

  /** Whether a character may come that begins with these bytes. */
  mayBegin(bytes: readonly number[]): boolean {
    if (bytes.length === 0) return true;
    const range = [rangeOf(bytes)];
    return this.nextSets().some((each) => intersection(each, range).length > 0);
  }

  /** Takes characters back, so that `length` are left. */
  cut(length: number): void {
    this.#columns.length = length + 1;
  }

  /** The characters that may come next, set by set. */
  nextSets(): CharacterSet[] {
    return this.#readings().flatMap((state) => {
      const set = this.#automaton.reads(state);
      return set === null || set.length === 0 ? [] : [set];
    });
  }

  /** Of the strings that the text may be in, where their lengths are counted. Null: it may be in others too. */
  counts(): Count[] | null {
    const { states } = this.#last;
    const reaches = [...new Set(states)].map((state) => this.#automaton.reach(state).reads);
    const counts = reaches.map((reads) =>
      reads.flatMap((state) => this.#automaton.count(state) ?? []),
    );
    const others = reaches.filter((reads, at) => reads.length > 0 && counts[at]?.length === 0);
    const isFree = others.length === 0 || counts.every((each) => each.length === 0);
    if (isFree) return counts.flat();
    // One that takes any character has no limit.
    const takesAll = others.every((reads) =>
      reads.some((state) => this.#automaton.reads(state) === plainCharacters),
    );
    return takesAll ? [...counts.flat(), { left: Infinity, need: 0, escaping: false }] : null;
  }

  /** The text that nothing else can come instead of. @param max of its characters */
  forced(max: number): string {
    const from = this.length;
    let text = "";
    while (text.length < max && !this.ended) {
      const next = onlyOf(this.nextSets());
      if (next === null || !this.advance(next)) break;
      text += String.fromCodePoint(next);
    }
    this.cut(from);
    return text;
  }

  /** The shortest text to an end. @param among the next character is one of these @throws where there is none */
  closing(among?: CharacterSet): string {
    if (among === undefined) return this.#shortest();
    const from = this.length;
    const options = this.nextSets().flatMap((each) => {
      const code = this.#ways.sample(intersection(each, among)) ?? null;
      if (code === null || !this.advance(code)) return [];
      const rest = this.#shortest();
      this.cut(from);
      return [String.fromCodePoint(code) + rest];
    });
    const [best] = options.toSorted((a, b) => a.length - b.length);
    if (best === undefined) throw new StructureError("a character that was begun cannot be ended");
    return best;
  }

  get #last(): Column {
    const last = this.#columns.at(-1);
    if (last === undefined) throw new Error("a chart has no column");
    return last;
  }

  #readersOf({ states, origins }: Column): Readers {
    const all: Reader[] = [];
    for (const [at, state] of states.entries()) {
      for (const reading of this.#automaton.reach(state).reads) {
        const set = this.#automaton.reads(reading) ?? [];
        if (set.length === 0) continue;
        all.push({ set, to: this.#automaton.to(reading), origin: origins[at] ?? 0 });
      }
    }
    if (all.length <= wideKnownMax) return { single: null, wide: all, after: null };
    const single = new Map<number, Reader[]>();
    for (const reader of all) {
      const [first] = reader.set;
      if (first === undefined || !isSingle(reader)) continue;
      if (single.get(first[0])?.push(reader) === undefined) single.set(first[0], [reader]);
    }
    return { single, wide: all.filter((reader) => !isSingle(reader)), after: null };
  }

  /** The column itself where what follows is as it is: then the text may go on so for ever. */
  #after(column: Column, readers: readonly Reader[]): Column {
    const next = this.#column(readers.map(({ to, origin }) => [to, origin]));
    const isSame =
      next.waiting === null &&
      column.waiting === null &&
      next.kernel === column.kernel &&
      next.states.slice(0, next.kernel).every((state, at) => state === column.states[at]) &&
      next.origins.slice(0, next.kernel).every((origin, at) => origin === column.origins[at]);
    return isSame ? column : next;
  }

  #readings(): number[] {
    const { states } = this.#last;
    return [...new Set(states.flatMap((state) => this.#automaton.reach(state).reads))];
  }

  #column(kernel: readonly (readonly [number, number])[]): Column {
    const at = this.#columns.length;
    const column: Column = {
      states: [],
      origins: [],
      waiting: null,
      ended: false,
      kernel: 0,
      readers: null,
    };
    const seen = new Set<number>();
    const add = (state: number, origin: number) => {
      const key = origin * this.#automaton.size + state;
      if (seen.has(key)) return;
      if (seen.size >= itemsMax) throw tooOpen();
      seen.add(key);
      column.states.push(state);
      column.origins.push(origin);
    };
    for (const [state, origin] of kernel) add(state, origin);
    column.kernel = column.states.length;
    for (let item = 0; item < column.states.length; item += 1) {
      const [state, origin] = [column.states[item] ?? 0, column.origins[item] ?? 0];
      const { calls, ends } = this.#automaton.reach(state);
      for (const calling of calls) this.#call(calling, { column, origin, at, add });
      if (ends && (origin < at || at === 0)) this.#end(state, { column, origin, at, add });
    }
    return column;
  }

  #call(calling: number, { column, origin, at, add }: Placing): void {
    const rule = this.#automaton.calls(calling) ?? 0;
    const after = this.#automaton.to(calling);
    column.waiting ??= new Map();
    const waiting = column.waiting.get(rule);
    if (waiting === undefined) column.waiting.set(rule, [after, origin]);
    else waiting.push(after, origin);
    add(this.#automaton.start(rule), at);
    // A rule that may be empty is over where it begins.
    if (this.#ways.lengthOfRule(rule) === 0) add(after, origin);
  }

  #end(state: number, { column, origin, at, add }: Placing): void {
    const rule = this.#automaton.ruleOf(state);
    if (rule === this.#automaton.root && origin === 0) column.ended = true;
    if (origin === at) return;
    const waiting = this.#columns[origin]?.waiting?.get(rule) ?? [];
    for (let each = 0; each < waiting.length; each += 2) {
      add(waiting[each] ?? 0, waiting[each + 1] ?? 0);
    }
  }

  /** Over what has to end first and what waits for it, the shortest way to where nothing waits. */
  #shortest(): string {
    const { states, origins } = this.#last;
    const heap = new NodeHeap();
    const done = new Set<number>();
    const add = (state: number, origin: number, before: Node | null) => {
      const cost = (before?.cost ?? 0) + this.#ways.length(state);
      const rule = this.#automaton.ruleOf(state);
      if (cost < Infinity) heap.push({ rule, origin, cost, state, before });
    };
    for (const [at, state] of states.entries()) add(state, origins[at] ?? 0, null);
    for (let node = heap.pop(); node !== null; node = heap.pop()) {
      const key = node.origin * this.#automaton.size + node.rule;
      if (done.has(key)) continue;
      done.add(key);
      if (node.rule === this.#automaton.root && node.origin === 0) return this.#textOf(node);
      const waiting = this.#columns[node.origin]?.waiting?.get(node.rule) ?? [];
      for (let each = 0; each < waiting.length; each += 2) {
        add(waiting[each] ?? 0, waiting[each + 1] ?? 0, node);
      }
    }
    throw new StructureError("what was written so far cannot come to an end");
  }

  #textOf(last: Node): string {
    const parts: string[] = [];
    for (let node: Node | null = last; node !== null; node = node.before) {
      parts.push(this.#ways.text(node.state));
    }
    return parts.toReversed().join("");
  }
}

type Placing = {
  readonly column: Column;
  readonly origin: number;
  readonly at: number;
  add(state: number, origin: number): void;
};

/** Whether it reads one character alone. */
function isSingle({ set: [first, second] }: Reader): boolean {
  return second === undefined && first !== undefined && first[0] === first[1];
}

/** The one character that all sets are of; null: there are several, or none. */
function onlyOf(sets: readonly CharacterSet[]): number | null {
  let only: number | null = null;
  for (const set of sets) {
    const [range, more] = set;
    if (range === undefined || more !== undefined || range[0] !== range[1]) return null;
    if (only !== null && only !== range[0]) return null;
    only = range[0];
  }
  return only;
}

function tooOpen(): StructureError {
  return new StructureError(
    `what is written could be read in more than ${itemsMax} ways at once. Make it less ambiguous`,
  );
}

/** The cheapest first. */
class NodeHeap {
  readonly #nodes: Node[] = [];

  push(node: Node): void {
    let at = this.#nodes.push(node) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#cost(parent) <= node.cost) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  pop(): Node | null {
    const [first] = this.#nodes;
    const last = this.#nodes.pop();
    if (first === undefined || last === undefined) return null;
    if (this.#nodes.length === 0) return first;
    this.#nodes[0] = last;
    for (let at = 0; ;) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      const least = this.#cost(right) < this.#cost(left) ? right : left;
      if (this.#cost(least) >= this.#cost(at)) return first;
      this.#swap(at, least);
      at = least;
    }
  }

  #cost(at: number): number {
    return this.#nodes[at]?.cost ?? Infinity;
  }

  #swap(a: number, b: number): void {
    const [first, second] = [this.#nodes[a], this.#nodes[b]];
    if (first === undefined || second === undefined) return;
    this.#nodes[a] = second;
    this.#nodes[b] = first;
  }
}
