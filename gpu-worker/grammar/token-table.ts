/** A model's tokens by their bytes: what spells a text, and how many characters of a JSON string each adds. */
import type { Count } from "./automaton.ts";
import { TokenTrie } from "./token-trie.ts";
import { decoded } from "./utf8.ts";
import { tokenBytes, type Vocabulary } from "./vocabulary.ts";

/** Of a token that spells a text. */
const bytesMax = 64;
/** Of a text, at once: what it takes grows with its length. */
const blockBytes = 1_024;
/** Texts whose spelling is kept. */
const keptMax = 1_000;
const quote = 0x22;
const backslash = 0x5c;

export class TokenTable {
  readonly vocabulary: Vocabulary;
  readonly #byBytes = new Map<string, number>();
  /** By the two bytes that a token begins with: how many bytes the longest has. */
  readonly #longest = new Uint8Array(2 ** 16);
  readonly #spelled = new Map<string, readonly number[] | null>();
  /** Tokens with a quote in them, which may leave a string or enter one. */
  readonly #quoting: number[] = [];
  /** By whether a string is just after a backslash: the characters that each token begins. */
  readonly #begun: readonly [Uint8Array, Uint8Array];
  /** By the same, and by a number of characters: tokens that begin no more, as a mask. */
  readonly #rooms = new Map<string, Int32Array>();
  #trie: TokenTrie | null = null;
  /** By their first character, where they begin with a whole one: how many tokens. */
  readonly firsts: ReadonlyMap<number, number>;

  constructor(vocabulary: Vocabulary) {
    this.vocabulary = vocabulary;
    this.#begun = [new Uint8Array(this.size), new Uint8Array(this.size)];
    const firsts = new Map<number, number>();
    this.firsts = firsts;
    for (let token = 0; token < this.size; token += 1) {
      const bytes = this.bytes(token);
      if (bytes.length === 0) continue;
      const name = latin1(bytes);
      if (bytes.length <= bytesMax && !this.#byBytes.has(name)) this.#byBytes.set(name, token);
      const begin = pairAt(name, 0);
      this.#longest[begin] = Math.max(this.#longest[begin] ?? 0, Math.min(bytes.length, bytesMax));
      if (bytes.includes(quote)) this.#quoting.push(token);
      const [first] = decoded([...bytes.subarray(0, 4)]).codePoints;
      if (first !== undefined) firsts.set(first, (firsts.get(first) ?? 0) + 1);
      for (const after of [0, 1] as const)
        this.#begun[after][token] = charactersBegun(bytes, after);
    }
  }

  get size(): number {
    return this.vocabulary.starts.length - 1;
  }

  /** Made when it is first asked for: few grammars need it. */
  get trie(): TokenTrie {
    this.#trie ??= new TokenTrie(this.vocabulary);
    return this.#trie;
  }

  bytes(token: number): Uint8Array {
    return tokenBytes(this.vocabulary, token);
  }

  /** Few tokens that are these bytes; null: there are none. What long texts end with is spelled once. */
  spell(bytes: Uint8Array): readonly number[] | null {
    if (bytes.length <= blockBytes) return this.#spellBlock(bytes);
    const blocks: (readonly number[])[] = [];
    for (let end = bytes.length; end > 0;) {
      let from = Math.max(0, end - blockBytes);
      while (from > 0 && ((bytes[from] ?? 0) & 0xc0) === 0x80) from += 1;
      const block = this.#spellBlock(bytes.subarray(from, end));
      if (block === null) return null;
      blocks.push(block);
      end = from;
    }
    return blocks.toReversed().flat();
  }

  #spellBlock(bytes: Uint8Array): readonly number[] | null {
    const name = latin1(bytes);
    const known = this.#spelled.get(name);
    if (known !== undefined) return known;
    if (this.#spelled.size >= keptMax) this.#spelled.clear();
    const spelled = this.#fewest(name);
    this.#spelled.set(name, spelled);
    return spelled;
  }

  canSpell(codePoint: number): boolean {
    return this.spell(new TextEncoder().encode(String.fromCodePoint(codePoint))) !== null;
  }

  /** Tokens that a string of counted length has room for, as a mask. Those with a quote are looked at one by one. */
  roomFor({ left, escaping }: Count): Int32Array | null {
    if (left >= 255) return null;
    const key = `${left} ${escaping}`;
    const known = this.#rooms.get(key);
    if (known !== undefined) return known;
    const mask = new Int32Array(Math.ceil(this.size / 32));
    const begun = this.#begun[escaping ? 1 : 0];
    for (const [token, count] of begun.entries()) {
      if (count <= left) mask[token >> 5] = (mask[token >> 5] ?? 0) | (1 << (token & 31));
    }
    for (const token of this.#quoting)
      mask[token >> 5] = (mask[token >> 5] ?? 0) | (1 << (token & 31));
    this.#rooms.set(key, mask);
    return mask;
  }

  get quoting(): readonly number[] {
    return this.#quoting;
  }

  #fewest(name: string): number[] | null {
    const counts = [0];
    const tokens: number[] = [];
    for (let end = 1; end <= name.length; end += 1) {
      let best = Infinity;
      for (let from = Math.max(0, end - bytesMax); from < end; from += 1) {
        const length = end - from;
        if (length > 1 && length > (this.#longest[pairAt(name, from)] ?? 0)) continue;
        const before = (counts[from] ?? Infinity) + 1;
        const token = before < best ? this.#byBytes.get(name.slice(from, end)) : undefined;
        if (token !== undefined) [best, tokens[end]] = [before, token];
      }
      counts[end] = best;
    }
    if (counts[name.length] === Infinity) return null;
    const spelled: number[] = [];
    for (let end = name.length; end > 0;) {
      const token = tokens[end] ?? 0;
      spelled.push(token);
      end -= this.bytes(token).length;
    }
    return spelled.toReversed();
  }
}

function pairAt(name: string, at: number): number {
  return (name.charCodeAt(at) << 8) | (at + 1 < name.length ? name.charCodeAt(at + 1) : 0);
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/** Of a string without its end: an escape is one, and bytes that go on with a character are none. */
function charactersBegun(bytes: Uint8Array, afterBackslash: 0 | 1): number {
  let count = 0;
  let escaped = afterBackslash === 1;
  for (const byte of bytes) {
    if (escaped) escaped = false;
    else if ((byte & 0xc0) !== 0x80) {
      count += 1;
      escaped = byte === backslash;
    }
  }
  return Math.min(count, 255);
}
