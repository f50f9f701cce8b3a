/**
 * From each state of an automaton the shortest text to the end of its rule, as Knuth generalises Dijkstra to grammars
 * (A Generalization of Dijkstra's Algorithm, 1977). What no tokens can spell is no way.
 */
import type { Automaton } from "./automaton.ts";
import type { CharacterSet } from "./character-set.ts";

/** Characters that texts are made of where any would do, the first that may stand there. */
const preferred = [..."0a xA_-."].map((character) => character.codePointAt(0) ?? 0);
/** Of a set without any of these, so many are tried. */
const triedMax = 64;

export class ShortestWays {
  readonly #automaton: Automaton;
  readonly #canSpell: (codePoint: number) => boolean;
  readonly #lengths: Float64Array;
  /** The state that is reached freely on the shortest way; -1: by this one's own edge. */
  readonly #next: Int32Array;
  readonly #samples = new Map<CharacterSet, number | null>();

  constructor(automaton: Automaton, canSpell: (codePoint: number) => boolean) {
    this.#automaton = automaton;
    this.#canSpell = canSpell;
    this.#lengths = new Float64Array(automaton.size).fill(Infinity);
    this.#next = new Int32Array(automaton.size).fill(-1);
    this.#measure();
  }

  /** In characters, to the end of the state's rule. Infinity: there is no way. */
  length(state: number): number {
    return this.#lengths[state] ?? Infinity;
  }

  lengthOfRule(rule: number): number {
    return this.length(this.#automaton.start(rule));
  }

  /** @throws where there is none */
  text(state: number): string {
    const parts: string[] = [];
    const stack = [state];
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      if (this.length(at) === Infinity) throw new Error("a state has no way to the end");
      const next = this.#next[at] ?? -1;
      const call = this.#automaton.calls(at);
      const set = this.#automaton.reads(at);
      if (next >= 0) stack.push(next);
      else if (call !== null) stack.push(this.#automaton.to(at), this.#automaton.start(call));
      else if (set !== null) {
        parts.push(String.fromCodePoint(this.sample(set) ?? 0));
        stack.push(this.#automaton.to(at));
      }
    }
    return parts.join("");
  }

  /** A character of a set that tokens can spell; null: there is none. */
  sample(set: CharacterSet): number | null {
    const known = this.#samples.get(set);
    if (known !== undefined) return known;
    const found = [...candidates(set)].find((code) => this.#canSpell(code)) ?? null;
    this.#samples.set(set, found);
    return found;
  }

  #measure(): void {
    const automaton = this.#automaton;
    const before: number[][] = Array.from({ length: automaton.size }, () => []);
    const queue: number[] = [];
    for (let state = 0; state < automaton.size; state += 1) {
      for (const next of automaton.free(state)) before[next]?.push(state);
      if (automaton.reads(state) !== null) before[automaton.to(state)]?.push(state);
      const call = automaton.calls(state);
      if (call !== null) {
        before[automaton.to(state)]?.push(state);
        before[automaton.start(call)]?.push(state);
      }
      if (automaton.isEnd(state)) {
        this.#lengths[state] = 0;
        queue.push(state);
      }
    }
    for (const state of queue) {
      for (const earlier of before[state] ?? []) if (this.#improve(earlier)) queue.push(earlier);
    }
  }

  /** @returns whether a shorter way is known now */
  #improve(state: number): boolean {
    const automaton = this.#automaton;
    let [best, next] = [this.length(state), -2];
    for (const each of automaton.free(state)) {
      if (this.length(each) < best) [best, next] = [this.length(each), each];
    }
    const after = this.length(automaton.to(state));
    const call = automaton.calls(state);
    const set = automaton.reads(state);
    const own =
      call !== null
        ? this.lengthOfRule(call) + after
        : set !== null && after < Infinity && this.sample(set) !== null
          ? 1 + after
          : Infinity;
    if (own < best) [best, next] = [own, -1];
    if (next === -2) return false;
    this.#lengths[state] = best;
    this.#next[state] = next;
    return true;
  }
}

function* candidates(set: CharacterSet): Generator<number> {
  for (const code of preferred)
    if (set.some(([from, to]) => from <= code && code <= to)) yield code;
  let tried = 0;
  for (const [from, to] of set) {
    for (let code = from; code <= to && tried < triedMax; code += 1, tried += 1) yield code;
  }
}
