/**
 * One token by itself: its text and, where that is a part of a character, its bytes. Decoders of whole texts are of no
 * use for it: they put replacement characters for bytes, and some take the space away that a text begins with.
 */
import type { Definition } from "./tokenizer-file.ts";

export type TokenText = {
  readonly text: string;
  /** Where the text has replacement characters for them; null: the text says all. */
  readonly bytes: readonly number[] | null;
};

/** By the id's own text in the vocabulary. */
export type ReadToken = (token: string) => TokenText;

const whole = (text: string): TokenText => ({ text, bytes: null });

/**
 * Bytes by the characters that byte-level BPE writes them as: themselves where they are printable, else counted up from
 * 256 (`bytes_to_unicode` of GPT-2).
 */
function byteLevelTable(): ReadonlyMap<string, number> {
  const table = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte += 1) {
    const printable =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    table.set(String.fromCodePoint(printable ? byte : next), byte);
    if (!printable) next += 1;
  }
  return table;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function ofBytes(bytes: readonly number[]): TokenText {
  const array = Uint8Array.from(bytes);
  try {
    return whole(strict.decode(array));
  } catch {
    return { text: decoder.decode(array), bytes };
  }
}

function byteLevelReader(): ReadToken {
  const table = byteLevelTable();
  return (token) => {
    const bytes: number[] = [];
    for (const character of token) {
      const byte = table.get(character);
      // A token that was added under its own text.
      if (byte === undefined) return whole(token);
      bytes.push(byte);
    }
    return ofBytes(bytes);
  };
}

/** SentencePiece: a space is written as ▁, a byte that is in no token as <0x0A>. */
const readPiece: ReadToken = (token) => {
  const byte = /^<0x([0-9A-F]{2})>$/.exec(token)?.[1];
  return byte === undefined
    ? whole(token.replaceAll("\u2581", " "))
    : ofBytes([Number.parseInt(byte, 16)]);
};

/** @param definition tells the kinds of decoder by their names, wherever they stand in it */
export function tokenReader({ decoder: part }: Definition): ReadToken {
  const text = JSON.stringify(part ?? null);
  if (text.includes('"ByteLevel"')) return byteLevelReader();
  if (/"Metaspace"|"ByteFallback"|\u2581/.test(text)) return readPiece;
  return whole;
}
