/** GGUF files written byte by byte, as a test wants them: right or wrong. */

export function uint32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

export function uint64(value: number | bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
}

/** @param length what the file claims, if not the truth */
export function text(value: string | Uint8Array, length?: number | bigint): Uint8Array {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  return joined(uint64(length ?? bytes.length), bytes);
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** Codes of values' types. */
export const kinds = { uint8: 0, uint32: 4, bool: 7, text: 8, array: 9, uint64: 10 } as const;

export function entry(key: string | Uint8Array, kind: number, value: Uint8Array): Uint8Array {
  return joined(text(key), uint32(kind), value);
}

export type TensorInfo = {
  readonly name?: string | Uint8Array;
  /** Fastest first. */
  readonly lengths?: readonly (number | bigint)[];
  readonly rank?: number;
  readonly type?: number;
  readonly offset?: number | bigint;
};

/** One float32 tensor of 8 elements, unless it is told otherwise. */
export function tensorInfo(info: TensorInfo = {}): Uint8Array {
  const lengths = info.lengths ?? [8];
  return joined(
    text(info.name ?? "a"),
    uint32(info.rank ?? lengths.length),
    ...lengths.map(uint64),
    uint32(info.type ?? 0),
    uint64(info.offset ?? 0),
  );
}

export type GgufParts = {
  readonly magic?: string;
  readonly version?: number;
  readonly tensorCount?: number | bigint;
  readonly entryCount?: number | bigint;
  readonly entries?: readonly Uint8Array[];
  readonly tensors?: readonly Uint8Array[];
  /** Bytes after the header, which is padded to 32. */
  readonly dataBytes?: number;
};

export function gguf(parts: GgufParts = {}): Uint8Array {
  const { entries = [], tensors = [tensorInfo()] } = parts;
  const header = joined(
    new TextEncoder().encode(parts.magic ?? "GGUF"),
    uint32(parts.version ?? 3),
    uint64(parts.tensorCount ?? tensors.length),
    uint64(parts.entryCount ?? entries.length),
    ...entries,
    ...tensors,
  );
  const padding = new Uint8Array((32 - (header.length % 32)) % 32);
  return joined(header, padding, new Uint8Array(parts.dataBytes ?? 32));
}
