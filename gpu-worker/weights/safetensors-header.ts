/**
 * The header of a safetensors file: 8 bytes of length, then JSON {name: {dtype, shape, data_offsets}}. Everything in it
 * is checked before a byte of data is read or memory is taken for it: a hostile file is refused with a `WeightError`.
 * Format: https://github.com/huggingface/safetensors#format. Reads no file.
 */
import * as z from "zod";
import { bytesPerElement } from "../tensor/dtype.ts";
import type { DType } from "../tensor/dtype.ts";
import { findDuplicateKey } from "./duplicate-key.ts";
import { WeightError } from "./weight-source.ts";
import type { WeightEntry } from "./weight-source.ts";

export const headerLengthBytes = 8;
/** The reference implementation's bound. */
const headerBytesMax = 100_000_000;
const rankMax = 16;

export const storedTypes = {
  F64: "float64",
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
  I64: "int64",
  I32: "int32",
  I16: "int16",
  I8: "int8",
  U64: "uint64",
  U32: "uint32",
  U16: "uint16",
  U8: "uint8",
  BOOL: "bool",
} as const satisfies Record<string, DType>;

const StoredType = z.enum(Object.keys(storedTypes) as [keyof typeof storedTypes]);
const Size = z.int().nonnegative();

const Entry = z.strictObject({
  dtype: StoredType,
  shape: z.array(Size).max(rankMax),
  data_offsets: z.tuple([Size, Size]),
});
const Metadata = z.record(z.string(), z.string());

export type SafetensorsEntry = WeightEntry & {
  /** From the first byte of the file. */
  readonly offset: number;
};

export type SafetensorsHeader = {
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of their bytes. */
  readonly entries: readonly SafetensorsEntry[];
};

/** Length of the JSON, from the file's first 8 bytes. */
export function readHeaderLength(prefix: Uint8Array, fileBytes: number): number {
  if (prefix.length < headerLengthBytes) throw new WeightError("the file is shorter than 8 bytes");
  const view = new DataView(prefix.buffer, prefix.byteOffset, headerLengthBytes);
  const length = view.getBigUint64(0, true);
  if (length > headerBytesMax) {
    throw new WeightError(`the header claims ${length} bytes, at most ${headerBytesMax} are read`);
  }
  if (Number(length) > fileBytes - headerLengthBytes) {
    throw new WeightError(`the header claims ${length} bytes in a file of ${fileBytes}`);
  }
  return Number(length);
}

function parseJson(json: Uint8Array): [string, unknown][] {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(json);
    value = JSON.parse(text);
  } catch (cause) {
    throw new WeightError("the header is not JSON in UTF-8", { cause });
  }
  if (!text.startsWith("{") || typeof value !== "object" || value === null) {
    throw new WeightError("the header is not a JSON object");
  }
  const duplicate = findDuplicateKey(text);
  if (duplicate !== null) throw new WeightError(`"${duplicate}" stands twice in the header`);
  return Object.entries(value);
}

function checked<T>(schema: z.ZodType<T>, value: unknown, name: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new WeightError(`"${name}" ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`);
}

function parseEntry(name: string, value: unknown, dataStart: number): SafetensorsEntry {
  const {
    dtype: stored,
    shape,
    data_offsets: [begin, end],
  } = checked(Entry, value, name);
  const dtype = storedTypes[stored];
  const bytes = bytesPerElement(dtype);
  // Without its zeros, so that no length hides behind one.
  const extent = shape.reduce((product, length) => product * Math.max(length, 1), bytes);
  if (!Number.isSafeInteger(extent)) throw new WeightError(`"${name}" is too large`);
  const byteLength = shape.includes(0) ? 0 : extent;
  if (end - begin !== byteLength) {
    throw new WeightError(
      `"${name}" takes ${end - begin} bytes, ${stored} [${shape.join(", ")}] needs ${byteLength}`,
    );
  }
  return { name, dtype, shape, byteLength, offset: dataStart + begin };
}

/** The data area must be covered once, without gaps: no two tensors share a byte, none lies outside. */
function expectCovering(entries: readonly SafetensorsEntry[], start: number, end: number): void {
  let at = start;
  for (const { name, offset, byteLength } of entries) {
    if (offset < at) throw new WeightError(`"${name}" overlaps the tensor before it`);
    if (offset > at) throw new WeightError(`${offset - at} bytes before "${name}" are no tensor's`);
    at = offset + byteLength;
    if (at > end) throw new WeightError(`"${name}" runs past the end of the file`);
  }
  if (at !== end) throw new WeightError(`${end - at} bytes at the end are no tensor's`);
}

/** `json` is the header alone; `fileBytes` the size of the whole file. */
export function parseSafetensorsHeader(json: Uint8Array, fileBytes: number): SafetensorsHeader {
  const dataStart = headerLengthBytes + json.length;
  let metadata: Readonly<Record<string, string>> = {};
  const entries: SafetensorsEntry[] = [];
  for (const [name, value] of parseJson(json)) {
    if (name === "__metadata__") metadata = checked(Metadata, value, name);
    else entries.push(parseEntry(name, value, dataStart));
  }
  entries.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  expectCovering(entries, dataStart, fileBytes);
  return { metadata, entries };
}
