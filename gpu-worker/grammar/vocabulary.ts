/**
 * The tokens of a model as bytes, in memory that threads share. A token without bytes never comes next: special tokens,
 * but for those that end a text.
 */
import { TimeSlices } from "../event-loop/time-slices.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

export type Vocabulary = {
  readonly id: number;
  /** Of all tokens, one after the other. */
  readonly bytes: Uint8Array;
  /** Where each token begins, and after the last. */
  readonly starts: Uint32Array;
  /** Tokens after which a text ends, the usual one first. */
  readonly endTokens: readonly number[];
};

/** Ids may have gaps: this many times as many are tried. */
const gapsMax = 2;

let vocabularies = 0;

/** @throws the signal's reason */
export async function readVocabulary(
  tokenizer: Tokenizer,
  endTokens: ReadonlySet<number>,
  signal?: AbortSignal,
): Promise<Vocabulary> {
  const slices = new TimeSlices(signal);
  const encoder = new TextEncoder();
  const tokens: Uint8Array[] = [];
  let found = 0;
  const last = Math.max(-1, ...endTokens);
  for (let id = 0; found < tokenizer.vocabularySize || id <= last; id += 1) {
    if (id >= gapsMax * tokenizer.vocabularySize && id > last) break;
    if (slices.over) await slices.next();
    const token = tokenizer.token(id);
    if (token !== null) found += 1;
    const silent = token === null || token.special || endTokens.has(id);
    tokens.push(
      silent ? new Uint8Array() : Uint8Array.from(token.bytes ?? encoder.encode(token.text)),
    );
  }
  const size = tokens.reduce((sum, { length }) => sum + length, 0);
  const bytes = new Uint8Array(size);
  const starts = new Uint32Array(tokens.length + 1);
  let at = 0;
  for (const [id, token] of tokens.entries()) {
    bytes.set(token, at);
    at += token.length;
    starts[id + 1] = at;
  }
  return inSharedMemory({ id: (vocabularies += 1), bytes, starts, endTokens: [...endTokens] });
}

/** Threads are told of it without a copy. */
export function inSharedMemory({ bytes, starts, ...others }: Vocabulary): Vocabulary {
  const shared = {
    bytes: new Uint8Array(new SharedArrayBuffer(bytes.byteLength)),
    starts: new Uint32Array(new SharedArrayBuffer(starts.byteLength)),
  };
  shared.bytes.set(bytes);
  shared.starts.set(starts);
  return { ...others, ...shared };
}

export function tokenBytes({ bytes, starts }: Vocabulary, token: number): Uint8Array {
  return bytes.subarray(starts[token] ?? 0, starts[token + 1] ?? 0);
}
