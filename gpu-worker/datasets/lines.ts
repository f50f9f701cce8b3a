/**
 * Bytes as they come to lines of text. At most one line is held, and of one that is too long nothing: a line of a
 * gigabyte costs no more than one of the largest size. Lines end in LF or CR LF; a byte order mark is left out.
 */
import type { Fault } from "#contract/training/problems.ts";
import { trainingLimits } from "#contract/training/limits.ts";

/** Without its end. Numbers count from 1. */
export type TextLine = { readonly number: number; readonly text: string };
export type BadLine = { readonly number: number; readonly fault: Fault };

const lineFeed = 0x0a;
const { lineBytesMax } = trainingLimits;

const firstBytes = 1 << 12;

export class LineSplitter {
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #number = 0;
  /** Begins with the line that has begun; grows to the largest line's size. */
  #buffer = new Uint8Array(firstBytes);
  /** Of that line, those that are not kept included. */
  #bytes = 0;

  /** The lines that end in these bytes. */
  *push(chunk: Uint8Array): Generator<TextLine | BadLine> {
    let from = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, from)) {
      this.#hold(chunk.subarray(from, end));
      yield this.#take();
      from = end + 1;
    }
    this.#hold(chunk.subarray(from));
  }

  /** The last line, where it has no end. */
  *end(): Generator<TextLine | BadLine> {
    if (this.#bytes > 0) yield this.#take();
  }

  #hold(part: Uint8Array): void {
    const at = this.#bytes;
    this.#bytes += part.length;
    if (this.#bytes > lineBytesMax) return;
    if (this.#bytes > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(2 * this.#buffer.length, this.#bytes));
      grown.set(this.#buffer.subarray(0, at));
      this.#buffer = grown;
    }
    this.#buffer.set(part, at);
  }

  #take(): TextLine | BadLine {
    const bytes = this.#bytes;
    this.#bytes = 0;
    const number = (this.#number += 1);
    if (bytes > lineBytesMax) {
      return { number, fault: { code: "line_too_long", expected: String(lineBytesMax) } };
    }
    try {
      const text = this.#decoder.decode(this.#buffer.subarray(0, bytes));
      const bare = number === 1 && text.startsWith("\ufeff") ? text.slice(1) : text;
      return { number, text: bare.endsWith("\r") ? bare.slice(0, -1) : bare };
    } catch {
      return { number, fault: { code: "invalid_utf8" } };
    }
  }
}
