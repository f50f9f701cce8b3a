/**
 * Reads a binary header from front to back, little-endian, of a length that nothing says beforehand: the file is read
 * piece by piece as it is needed. Whatever the bytes claim, no more memory is taken than there are bytes.
 */
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
  #piece: DataView = new DataView(new ArrayBuffer(0));
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

  /** Where in the piece the next `length` bytes are. */
  #take(length: number, field: string): number {
    const left = this.#end - this.#at;
    if (length > left) throw new WeightError(`${field} needs ${length} bytes, ${left} are left`);
    if (this.#at + length > this.#pieceStart + this.#piece.byteLength) {
      const ahead = Math.min(Math.max(length, pieceBytes), left);
      const { buffer, byteOffset, byteLength } = this.#read(this.#at, ahead);
      this.#piece = new DataView(buffer, byteOffset, byteLength);
      this.#pieceStart = this.#at;
    }
    this.#at += length;
    return this.#at - length - this.#pieceStart;
  }

  bytes(length: number, field: string): Uint8Array {
    const from = this.#take(length, field);
    return new Uint8Array(this.#piece.buffer, this.#piece.byteOffset + from, length);
  }

  uint32(field: string): number {
    const at = this.#take(4, field);
    return this.#piece.getUint32(at, true);
  }

  /** Rounded where numbers are not exact, which is far beyond what any file holds. */
  #uint64(field: string): number {
    const at = this.#take(8, field);
    return this.#piece.getUint32(at + 4, true) * 2 ** 32 + this.#piece.getUint32(at, true);
  }

  uint64(field: string): number {
    const value = this.#uint64(field);
    if (!Number.isSafeInteger(value)) throw new WeightError(`${field} is ${value}: too large`);
    return value;
  }

  /** A number of things that follow, of `leastBytes` each or more. */
  count(leastBytes: number, field: string): number {
    const claimed = this.#uint64(field);
    const left = this.#end - this.#at;
    if (claimed * leastBytes > left) {
      throw new WeightError(
        `${field} claims ${claimed} entries of ${leastBytes} bytes or more, ${left} bytes are left`,
      );
    }
    return claimed;
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
