/**
 * Reads a binary header from front to back, little-endian, of a length that nothing says beforehand: the file is read
 * piece by piece as it is needed. Whatever the bytes claim, no more memory is taken than there are bytes.
 */
import { arrayFromBytes } from "../tensor/tensor.ts";
import { WeightError } from "./weight-source.ts";

/** A file's bytes from `offset` on. */
export type ReadBytes = (offset: number, length: number) => Uint8Array;

/** So much is read ahead. */
const pieceBytes = 256 * 1024;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** `field` is in each call what the bytes are read for, as errors name it. */
export class HeaderCursor {
  readonly #read: ReadBytes;
  readonly #end: number;
  #piece: Uint8Array = new Uint8Array(0);
  /** Of the piece, from the start of the file. */
  #pieceStart = 0;
  #at = 0;

  /** @param end the header ends there at the latest */
  constructor(read: ReadBytes, end: number) {
    this.#read = read;
    this.#end = end;
  }

  get offset(): number {
    return this.#at;
  }

  bytes(length: number, field: string): Uint8Array {
    const left = this.#end - this.#at;
    if (length > left) throw new WeightError(`${field} needs ${length} bytes, ${left} are left`);
    if (this.#at + length > this.#pieceStart + this.#piece.length) {
      this.#piece = this.#read(this.#at, Math.min(Math.max(length, pieceBytes), left));
      this.#pieceStart = this.#at;
    }
    const from = this.#at - this.#pieceStart;
    this.#at += length;
    return this.#piece.subarray(from, from + length);
  }

  uint32(field: string): number {
    return arrayFromBytes("uint32", this.bytes(4, field))[0] ?? 0;
  }

  /** Throws for a number past those that are exact. */
  uint64(field: string): number {
    const value = arrayFromBytes("uint64", this.bytes(8, field))[0] ?? 0n;
    if (value > Number.MAX_SAFE_INTEGER) throw new WeightError(`${field} is ${value}: too large`);
    return Number(value);
  }

  /** A number of things that follow, of `leastBytes` each or more. */
  count(leastBytes: number, field: string): number {
    const claimed = arrayFromBytes("uint64", this.bytes(8, field))[0] ?? 0n;
    const left = this.#end - this.#at;
    if (claimed > Math.floor(left / leastBytes)) {
      throw new WeightError(
        `${field} claims ${claimed} entries of ${leastBytes} bytes or more, ${left} bytes are left`,
      );
    }
    return Number(claimed);
  }

  /** A length and as many bytes of UTF-8. */
  text(field: string): string {
    const bytes = this.bytes(this.count(1, field), field);
    try {
      return utf8.decode(bytes);
    } catch (cause) {
      throw new WeightError(`${field} is not UTF-8`, { cause });
    }
  }
}
