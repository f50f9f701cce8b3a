/**
 * One text that is held to a grammar: XGrammar says which tokens may come next, or a walk over the vocabulary where a
 * grammar is too much for it; the chart beside it says what cannot but come, how the text can end, and keeps count of
 * strings whose length is limited.
 */
import type { Automaton, Count } from "./automaton.ts";
import { Chart } from "./chart.ts";
import { StructureError } from "./expression.ts";
import type { ShortestWays } from "./shortest-ways.ts";
import type { TokenTable } from "./token-table.ts";
import { decoded, rangeOf } from "./utf8.ts";
import type { CompiledGrammar, GrammarMatcher } from "./xgrammar.ts";

/** A grammar, ready to hold texts to. */
export type Compiled = {
  /** Null: it is too much for XGrammar, and the vocabulary is walked at each place. */
  readonly grammar: CompiledGrammar | null;
  readonly automaton: Automaton;
  readonly ways: ShortestWays;
  readonly table: TokenTable;
  /** Whether it has strings whose length is counted. */
  readonly counts: boolean;
};

export type Next = {
  readonly allowed: Int32Array;
  /** What nothing else can come instead of. */
  readonly forced: string;
  /** After that the text is at its end. */
  readonly final: boolean;
  readonly closing: readonly number[];
};

/** Characters that are forced, at once. */
const forcedMax = 256;

/** Tokens that may come, of which each is looked at. */
const checkedMax = 128;

/** Masks of places that are kept, those of one text: most of a string's places are the same one. */
const masksMax = 32;

/** Bytes of a character that is not whole yet. */
type Place = {
  readonly length: number;
  readonly begun: readonly number[];
  readonly ended: boolean;
};

export class Matcher {
  readonly #compiled: Compiled;
  readonly #matcher: GrammarMatcher | null;
  readonly #chart: Chart;
  /** After each token, and before the first. */
  readonly #places: Place[] = [{ length: 0, begun: [], ended: false }];
  readonly #masks = new Map<object, Int32Array>();

  /** @param matcher null where the grammar is */
  constructor(compiled: Compiled, matcher: GrammarMatcher | null) {
    this.#compiled = compiled;
    this.#matcher = matcher;
    this.#chart = new Chart(compiled.automaton, compiled.ways);
  }

  get tokens(): number {
    return this.#places.length - 1;
  }

  /** @throws StructureError for a token that may not come here; then the text cannot go on */
  accept(token: number): void {
    if (this.#matcher !== null && !this.#matcher.acceptToken(token))
      throw new StructureError(`token ${token} may not come here`);
    this.#places.push(this.#advance(token) ?? notHere(token));
  }

  takeBack(count: number): void {
    if (count <= 0) return;
    this.#matcher?.rollBack(count);
    this.#places.length -= count;
    this.#chart.cut(this.#place.length);
  }

  async next(): Promise<Next> {
    const { endTokens } = this.#compiled.table.vocabulary;
    const { begun, ended } = this.#place;
    if (ended)
      return { allowed: new Int32Array(this.#words), forced: "", final: false, closing: [] };
    const allowed = this.#matcher === null ? this.#walked() : await this.#told(this.#matcher);
    const forced = begun.length === 0 ? this.#chart.forced(forcedMax) : "";
    return {
      allowed,
      forced,
      final: this.#isFinal(forced),
      closing: [...this.#closing(), ...endTokens.slice(0, 1)],
    };
  }

  dispose(): void {
    this.#matcher?.dispose();
  }

  async #told(matcher: GrammarMatcher): Promise<Int32Array> {
    const counts = this.#compiled.counts ? this.#chart.counts() : [];
    if (counts === null) return this.#walked();
    const allowed = await matcher.getNextTokenBitmask();
    if (this.#compiled.counts) this.#keepCount(allowed, counts);
    this.#checkFew(allowed);
    return allowed;
  }

  /** A mask of its own, as those who are told of it may take it away. */
  #walked(): Int32Array {
    const { begun } = this.#place;
    const { table } = this.#compiled;
    if (begun.length > 0) return table.trie.allowed(this.#chart, begun);
    const at = this.#chart.place;
    const known = this.#masks.get(at);
    if (known !== undefined) return known.slice();
    const mask = table.trie.allowed(this.#chart, begun);
    if (this.#masks.size >= masksMax) this.#masks.clear();
    this.#masks.set(at, mask);
    return mask.slice();
  }

  get #words(): number {
    return Math.ceil(this.#compiled.table.size / 32);
  }

  get #place(): Place {
    const place = this.#places.at(-1);
    if (place === undefined) throw new Error("more tokens were taken back than came");
    return place;
  }

  /** @returns where the token leads to; null: it may not come here */
  #advance(token: number): Place | null {
    const bytes = this.#compiled.table.bytes(token);
    const { length: from, begun } = this.#place;
    if (bytes.length === 0) return { length: from, begun, ended: true };
    const { codePoints, rest } = decoded([...begun, ...bytes]);
    for (const codePoint of codePoints) {
      if (this.#chart.advance(codePoint)) continue;
      this.#chart.cut(from);
      return null;
    }
    if (!this.#chart.mayBegin(rest)) {
      this.#chart.cut(from);
      return null;
    }
    return { length: this.#chart.length, begun: rest, ended: false };
  }

  #closing(): readonly number[] {
    const { begun } = this.#place;
    const text = begun.length === 0 ? this.#chart.closing() : this.#chart.closing([rangeOf(begun)]);
    const bytes = new TextEncoder().encode(text).subarray(begun.length);
    const tokens = this.#compiled.table.spell(bytes);
    if (tokens === null)
      throw new StructureError("the model has no tokens for the end of such a text");
    return tokens;
  }

  #isFinal(forced: string): boolean {
    const from = this.#chart.length;
    for (const character of forced) this.#chart.advance(character.codePointAt(0) ?? 0);
    const final =
      this.#place.begun.length === 0 && this.#chart.ended && this.#chart.nextSets().length === 0;
    this.#chart.cut(from);
    return final;
  }

  /** Forbids what would make a string too long, or end it too soon. */
  #keepCount(allowed: Int32Array, counts: readonly Count[]): void {
    const { table } = this.#compiled;
    const masks = counts.map((count) => table.roomFor(count));
    const [first, ...others] = masks;
    if (first !== undefined && first !== null && !others.includes(null)) {
      for (let word = 0; word < allowed.length; word += 1) {
        const room = others.reduce((all, mask) => all | (mask?.[word] ?? 0), first[word] ?? 0);
        allowed[word] = (allowed[word] ?? 0) & room;
      }
    }
    for (const token of table.quoting) {
      const bit = 1 << (token & 31);
      const word = allowed[token >> 5] ?? 0;
      if ((word & bit) !== 0 && !this.#mayCome(token)) allowed[token >> 5] = word & ~bit;
    }
  }

  /** XGrammar has been seen to allow what its grammar does not: where few tokens may come, each is looked at. */
  #checkFew(allowed: Int32Array): void {
    const tokens = tokensIn(allowed, checkedMax);
    for (const token of tokens ?? []) {
      if (this.#compiled.table.bytes(token).length > 0 && !this.#mayCome(token)) {
        allowed[token >> 5] = (allowed[token >> 5] ?? 0) & ~(1 << (token & 31));
      }
    }
  }

  #mayCome(token: number): boolean {
    const { length } = this.#place;
    const may = this.#advance(token) !== null;
    this.#chart.cut(length);
    return may;
  }
}

/** The tokens of a mask; null: there are more than so many. */
function tokensIn(allowed: Int32Array, max: number): number[] | null {
  const tokens: number[] = [];
  for (const [word, bits] of allowed.entries()) {
    for (let rest = bits; rest !== 0; rest &= rest - 1) {
      if (tokens.length >= max) return null;
      tokens.push(32 * word + 31 - Math.clz32(rest & -rest));
    }
  }
  return tokens;
}

function notHere(token: number): never {
  throw new StructureError(`token ${token} may come here, and leads nowhere`);
}
