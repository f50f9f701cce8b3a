/**
 * Which tokens may come next, by walking a vocabulary in the order of its texts: what several begin with is read once,
 * and what cannot begin is left out at once. Exact at every place and ready at once, where XGrammar works out all
 * places of a grammar before the first; but each place takes its time when it is come to.
 */
import type { Chart } from "./chart.ts";
import { decoded, isUtf8 } from "./utf8.ts";
import { tokenBytes, type Vocabulary } from "./vocabulary.ts";

/** Bytes of a character that a token begins and leaves to others to end. */
type Tail = readonly number[];

type Entry = { readonly token: number; readonly codes: readonly number[]; readonly tail: Tail };

export class TokenTrie {
  readonly #vocabulary: Vocabulary;
  readonly #size: number;
  readonly #entries: readonly Entry[];
  /** Characters that each begins with as the one before does. */
  readonly #shared: Uint16Array;
  /** That begin inside a character. */
  readonly #inside: readonly number[];

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
    this.#size = vocabulary.starts.length - 1;
    const inside: number[] = [];
    const entries: Entry[] = [];
    for (let token = 0; token < this.#size; token += 1) {
      const bytes = tokenBytes(vocabulary, token);
      const [first] = bytes;
      if (first === undefined) continue;
      if ((first & 0xc0) === 0x80) inside.push(token);
      else if (isUtf8(bytes)) entries.push(entryOf(token, bytes));
    }
    this.#inside = inside;
    this.#entries = entries.toSorted((a, b) => inOrder(a.codes, b.codes));
    this.#shared = Uint16Array.from(this.#entries, ({ codes }, at) =>
      sharedLength(codes, this.#entries[at - 1]?.codes ?? []),
    );
  }

  /** Tokens that may come, as a mask. @param begun bytes of a character that is not whole */
  allowed(chart: Chart, begun: Tail): Int32Array {
    const mask = new Int32Array(Math.ceil(this.#size / 32));
    const allow = (token: number) => {
      mask[token >> 5] = (mask[token >> 5] ?? 0) | (1 << (token & 31));
    };
    if (begun.length > 0) this.#goOn(chart, begun, allow);
    else {
      this.#walk(chart, allow);
      if (chart.ended) for (const token of this.#vocabulary.endTokens) allow(token);
    }
    return mask;
  }

  #walk(chart: Chart, allow: (token: number) => void): void {
    const from = chart.length;
    const entries = this.#entries;
    let at = 0;
    while (at < entries.length) {
      const entry = entries[at];
      if (entry === undefined) break;
      chart.cut(from + (this.#shared[at] ?? 0));
      const { codes, tail, token } = entry;
      while (chart.length - from < codes.length) {
        if (!chart.advance(codes[chart.length - from] ?? 0)) break;
      }
      const read = chart.length - from;
      at += 1;
      if (read === codes.length) {
        if (chart.mayBegin(tail)) allow(token);
        continue;
      }
      // All that begin with what could not be read.
      while (at < entries.length && (this.#shared[at] ?? 0) > read) at += 1;
    }
    chart.cut(from);
  }

  #goOn(chart: Chart, begun: Tail, allow: (token: number) => void): void {
    const from = chart.length;
    for (const token of this.#inside) {
      const bytes = [...begun, ...tokenBytes(this.#vocabulary, token)];
      if (!isUtf8(Uint8Array.from(bytes))) continue;
      const { codePoints, rest } = decoded(bytes);
      if (codePoints.every((code) => chart.advance(code)) && chart.mayBegin(rest)) allow(token);
      chart.cut(from);
    }
  }
}

function entryOf(token: number, bytes: Uint8Array): Entry {
  const { codePoints, rest } = decoded([...bytes]);
  return { token, codes: codePoints, tail: rest };
}

function inOrder(a: readonly number[], b: readonly number[]): number {
  const shared = sharedLength(a, b);
  return (a[shared] ?? -1) - (b[shared] ?? -1);
}

function sharedLength(a: readonly number[], b: readonly number[]): number {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at += 1;
  return at;
}
