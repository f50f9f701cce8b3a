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

export class LineSplitter {
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #number = 0;
  /** Of the line that has begun. */
  #parts: Uint8Array[] = [];
  #bytes = 0;

  /** Bytes that are held. */
  get held(): number {
    return this.#parts.reduce((sum, part) => sum + part.length, 0);
  }

  /** The lines that end in these bytes. */
  *push(chunk: Uint8Array): Generator<TextLine | BadLine> {
    let from = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, from)) {
      this.#hold(chunk.subarray(from, end));
      yield this.#take();
      from = end + 1;
    }
    // A copy: the chunk may be a small part of a large buffer, or be written to again.
    if (from < chunk.length) this.#hold(chunk.slice(from));
  }

  /** The last line, where it has no end. */
  *end(): Generator<TextLine | BadLine> {
    if (this.#bytes > 0) yield this.#take();
  }

  #hold(part: Uint8Array): void {
    this.#bytes += part.length;
    if (this.#bytes > lineBytesMax) this.#parts = [];
    else this.#parts.push(part);
  }

  #take(): TextLine | BadLine {
    const [bytes, parts] = [this.#bytes, this.#parts];
    this.#bytes = 0;
    this.#parts = [];
    const number = (this.#number += 1);
    if (bytes > lineBytesMax) {
      return { number, fault: { code: "line_too_long", expected: String(lineBytesMax) } };
    }
    const [only = new Uint8Array()] = parts;
    try {
      const text = this.#decoder.decode(parts.length > 1 ? Buffer.concat(parts) : only);
      const bare = number === 1 && text.startsWith("\ufeff") ? text.slice(1) : text;
      return { number, text: bare.endsWith("\r") ? bare.slice(0, -1) : bare };
    } catch {
      return { number, fault: { code: "invalid_utf8" } };
    }
  }
}
