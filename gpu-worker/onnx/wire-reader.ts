/**
 * Protobuf's wire format, reading. One pass over a message gives its fields by number, in order; a field's bytes are
 * views, not copies. Truncated or malformed bytes throw `GraphError`, whatever they hold.
 */
import { GraphError } from "./graph.ts";

type Field =
  | { readonly kind: "varint"; readonly value: bigint }
  | { readonly kind: "bytes"; readonly value: Uint8Array };

const utf8 = new TextDecoder("utf-8", { fatal: true });
const LONGEST_VARINT = 10;

class Cursor {
  readonly bytes: Uint8Array;
  offset = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get done(): boolean {
    return this.offset >= this.bytes.length;
  }

  varint(): bigint {
    let value = 0n;
    for (let i = 0; i < LONGEST_VARINT; i++) {
      const byte = this.bytes[this.offset++];
      if (byte === undefined) throw new GraphError("the bytes end within a number");
      value |= BigInt(byte & 127) << BigInt(7 * i);
      if (byte < 128) return BigInt.asUintN(64, value);
    }
    throw new GraphError("a number is longer than 64 bits");
  }

  take(length: number): Uint8Array {
    const end = this.offset + length;
    if (end > this.bytes.length) {
      throw new GraphError(`a field of ${length} bytes runs past the end`);
    }
    const taken = this.bytes.subarray(this.offset, end);
    this.offset = end;
    return taken;
  }
}

/** By wire type; 3 and 4 (groups) are not used by ONNX. */
const readers: Readonly<Record<number, (cursor: Cursor) => Field>> = {
  0: (cursor) => ({ kind: "varint", value: cursor.varint() }),
  1: (cursor) => ({ kind: "bytes", value: cursor.take(8) }),
  2: (cursor) => ({ kind: "bytes", value: cursor.take(Number(cursor.varint())) }),
  5: (cursor) => ({ kind: "bytes", value: cursor.take(4) }),
};

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export class WireMessage {
  readonly #fields = new Map<number, Field[]>();

  constructor(bytes: Uint8Array) {
    const cursor = new Cursor(bytes);
    while (!cursor.done) {
      const tag = Number(cursor.varint());
      const read = readers[tag % 8];
      if (read === undefined) throw new GraphError(`wire type ${tag % 8} is not known`);
      const number = Math.floor(tag / 8);
      const field = read(cursor);
      const known = this.#fields.get(number);
      if (known) known.push(field);
      else this.#fields.set(number, [field]);
    }
  }

  has(field: number): boolean {
    return this.#fields.has(field);
  }

  /** Signed 64-bit numbers, packed or not. */
  ints(field: number): bigint[] {
    return this.#all(field).flatMap((entry) => {
      if (entry.kind === "varint") return [BigInt.asIntN(64, entry.value)];
      const cursor = new Cursor(entry.value);
      const values: bigint[] = [];
      while (!cursor.done) values.push(BigInt.asIntN(64, cursor.varint()));
      return values;
    });
  }

  int(field: number): bigint {
    return this.ints(field).at(-1) ?? 0n;
  }

  /** 32-bit floats, packed or not. */
  floats(field: number): number[] {
    return this.#all(field).flatMap((entry) => {
      if (entry.kind === "varint") throw new GraphError(`field ${field} is no float`);
      const view = viewOf(entry.value);
      return Array.from({ length: Math.floor(view.byteLength / 4) }, (_, index) =>
        view.getFloat32(index * 4, true),
      );
    });
  }

  /** 64-bit floats, packed or not. */
  doubles(field: number): number[] {
    return this.#all(field).flatMap((entry) => {
      if (entry.kind === "varint") throw new GraphError(`field ${field} is no double`);
      const view = viewOf(entry.value);
      return Array.from({ length: Math.floor(view.byteLength / 8) }, (_, index) =>
        view.getFloat64(index * 8, true),
      );
    });
  }

  float(field: number): number {
    return this.floats(field).at(-1) ?? 0;
  }

  bytes(field: number): Uint8Array[] {
    return this.#all(field).map((entry) => {
      if (entry.kind === "bytes") return entry.value;
      throw new GraphError(`field ${field} is a number where bytes were expected`);
    });
  }

  strings(field: number): string[] {
    return this.bytes(field).map((value) => {
      try {
        return utf8.decode(value);
      } catch {
        throw new GraphError(`field ${field} is not UTF-8`);
      }
    });
  }

  string(field: number): string {
    return this.strings(field).at(-1) ?? "";
  }

  messages(field: number): WireMessage[] {
    return this.bytes(field).map((value) => new WireMessage(value));
  }

  message(field: number): WireMessage | null {
    return this.messages(field).at(-1) ?? null;
  }

  #all(field: number): readonly Field[] {
    return this.#fields.get(field) ?? [];
  }
}
