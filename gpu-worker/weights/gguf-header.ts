/**
 * The header of a GGUF file, versions 2 and 3: metadata under names, then name, type, shape and place of each tensor.
 * Everything in it is checked before a byte of data is read or memory is taken for it: a hostile file is refused with a
 * `WeightError`. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Opens no file.
 */
import { bytesPerElement } from "../tensor/dtype.ts";
import type { DType, TypedArray } from "../tensor/dtype.ts";
import { elementCount } from "../tensor/shape.ts";
import { arrayFromBytes } from "../tensor/tensor.ts";
import { ggmlTypes } from "./ggml-blocks.ts";
import type { GgmlType } from "./ggml-blocks.ts";
import { typeOfCode } from "./ggml-type-codes.ts";
import { HeaderCursor } from "./header-cursor.ts";
import type { ReadBytes } from "./header-cursor.ts";
import { WeightError } from "./weight-source.ts";

/** 64-bit integers are numbers where those are exact. */
export type GgufValue = string | number | bigint | boolean | readonly string[] | TypedArray;

export type GgufTensor = {
  readonly name: string;
  readonly type: GgmlType;
  /** Rows first, as checkpoints have it; the file names the fastest axis first. */
  readonly shape: readonly number[];
  /** As stored. */
  readonly byteLength: number;
  /** From the first byte of the file. */
  readonly offset: number;
};

export type GgufHeader = {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** In the order of their bytes. */
  readonly tensors: readonly GgufTensor[];
};

/** Vocabularies take up to some 20 MB. */
const headerBytesMax = 100_000_000;
/** "GGUF" */
const magic = 0x46_55_47_47;
const versions = [2, 3];
/** Of ggml: GGML_MAX_DIMS. */
const rankMax = 4;
const defaultAlignment = 32;
/** Length of the key, type and a byte of value. */
const entryBytesLeast = 13;
/** Length of the name, rank, type and offset. */
const tensorBytesLeast = 24;
/** Length of a text. */
const textBytesLeast = 8;

/** As files number them. */
const valueTypes = [
  "uint8",
  "int8",
  "uint16",
  "int16",
  "uint32",
  "int32",
  "float32",
  "bool",
  "text",
  "array",
  "uint64",
  "int64",
  "float64",
] as const satisfies (DType | "text" | "array")[];

function readVersion(cursor: HeaderCursor): void {
  const found = cursor.uint32("the magic number");
  if (found !== magic) throw new WeightError(`it does not begin with "GGUF"`);
  const version = cursor.uint32("the version");
  if (versions.includes(version)) return;
  const isSwapped = (version & 0xffff) === 0 && version !== 0;
  throw new WeightError(
    isSwapped
      ? "it is written for big-endian machines, which is not read"
      : `GGUF version ${version} is not read, only ${versions.join(" and ")}`,
  );
}

function readNumbers(cursor: HeaderCursor, dtype: DType, count: number, field: string): TypedArray {
  const bytes = cursor.bytes(count * bytesPerElement(dtype), field);
  if (dtype === "bool" && bytes.some((byte) => byte > 1)) {
    throw new WeightError(`${field} is neither true nor false`);
  }
  return arrayFromBytes(dtype, bytes);
}

function readArray(cursor: HeaderCursor, field: string): GgufValue {
  const code = cursor.uint32(field);
  const type = valueTypes[code];
  if (type === undefined) throw new WeightError(`${field} is an array of unknown type ${code}`);
  if (type === "array") throw new WeightError(`${field} is an array of arrays, which is not read`);
  if (type !== "text") {
    return readNumbers(cursor, type, cursor.count(bytesPerElement(type), field), field);
  }
  const count = cursor.count(textBytesLeast, field);
  const texts: string[] = [];
  for (let at = 0; at < count; at++) texts.push(cursor.text(field));
  return texts;
}

function readValue(cursor: HeaderCursor, field: string): GgufValue {
  const code = cursor.uint32(field);
  const type = valueTypes[code];
  if (type === undefined) throw new WeightError(`${field} is of unknown type ${code}`);
  if (type === "text") return cursor.text(field);
  if (type === "array") return readArray(cursor, field);
  const [value = 0] = readNumbers(cursor, type, 1, field);
  if (type === "bool") return value === 1;
  return typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function readMetadata(cursor: HeaderCursor, count: number): ReadonlyMap<string, GgufValue> {
  const metadata = new Map<string, GgufValue>();
  for (let at = 0; at < count; at++) {
    const key = cursor.text(`key ${at + 1} of the metadata`);
    if (metadata.has(key)) throw new WeightError(`"${key}" stands twice in the metadata`);
    metadata.set(key, readValue(cursor, `"${key}"`));
  }
  return metadata;
}

function readShape(cursor: HeaderCursor, field: string): readonly number[] {
  const rank = cursor.uint32(field);
  if (rank > rankMax) throw new WeightError(`${field} has ${rank} axes, at most ${rankMax}`);
  const lengths = Array.from({ length: rank }, () => cursor.uint64(`a length of ${field}`));
  return lengths.toReversed();
}

function storedBytes(type: GgmlType, shape: readonly number[], field: string): number {
  const { elements, bytes } = ggmlTypes[type];
  const columns = shape.at(-1) ?? 1;
  if (columns % elements !== 0) {
    throw new WeightError(
      `${field} has rows of ${columns} elements, but a block of ${type} has ${elements}`,
    );
  }
  // Without its zeros, so that no length hides behind one.
  const extent = shape.reduce((product, length) => product * Math.max(length, 1), bytes);
  if (!Number.isSafeInteger(extent)) throw new WeightError(`${field} is too large`);
  return (elementCount(shape) / elements) * bytes;
}

/** Its offset is still from the start of the data. */
function readTensor(cursor: HeaderCursor, number: number): GgufTensor {
  const name = cursor.text(`the name of tensor ${number}`);
  if (name === "") throw new WeightError(`tensor ${number} has no name`);
  const field = `tensor "${name}"`;
  const shape = readShape(cursor, field);
  const type = typeOfCode(cursor.uint32(field), field);
  const offset = cursor.uint64(`the offset of ${field}`);
  return { name, type, shape, byteLength: storedBytes(type, shape, field), offset };
}

function readTensors(cursor: HeaderCursor, count: number): GgufTensor[] {
  const names = new Set<string>();
  const tensors: GgufTensor[] = [];
  for (let at = 0; at < count; at++) {
    const tensor = readTensor(cursor, at + 1);
    if (names.has(tensor.name)) throw new WeightError(`tensor "${tensor.name}" stands twice`);
    names.add(tensor.name);
    tensors.push(tensor);
  }
  return tensors;
}

/** What offsets are multiples of, the start of the data too. */
function alignmentOf(metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = metadata.get("general.alignment") ?? defaultAlignment;
  if (typeof alignment !== "number" || !Number.isInteger(Math.log2(alignment)) || alignment < 1) {
    throw new WeightError(`"general.alignment" is ${String(alignment)}, expected a power of two`);
  }
  return alignment;
}

/** No two tensors may share a byte, and none may lie outside the file; padding lies between them. */
function expectPlaces(tensors: readonly GgufTensor[], alignment: number, fileBytes: number): void {
  let end = 0;
  for (const { name, offset, byteLength } of tensors) {
    if (offset % alignment !== 0) {
      throw new WeightError(`tensor "${name}" does not begin at a multiple of ${alignment} bytes`);
    }
    if (offset < end) throw new WeightError(`tensor "${name}" overlaps the tensor before it`);
    end = offset + byteLength;
    if (end > fileBytes) throw new WeightError(`tensor "${name}" runs past the end of the file`);
  }
}

export function readGgufHeader(read: ReadBytes, fileBytes: number): GgufHeader {
  const cursor = new HeaderCursor(read, Math.min(fileBytes, headerBytesMax));
  readVersion(cursor);
  const tensorCount = cursor.count(tensorBytesLeast, "the number of tensors");
  const entryCount = cursor.count(entryBytesLeast, "the number of metadata entries");
  const metadata = readMetadata(cursor, entryCount);
  const relative = readTensors(cursor, tensorCount);
  const alignment = alignmentOf(metadata);
  const dataStart = Math.ceil(cursor.offset / alignment) * alignment;
  const tensors = relative
    .map((tensor) => ({ ...tensor, offset: dataStart + tensor.offset }))
    .sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  expectPlaces(tensors, alignment, fileBytes);
  return { metadata, tensors };
}
