/**
 * Reads a GGUF file by range: the header at once, each tensor when it is asked for. Names, order of rows and values are
 * the file's own; gguf-checkpoint.ts has those of the checkpoint that it was converted from.
 */
import { closeSync, fstatSync, openSync } from "node:fs";
import { tensor } from "../tensor/tensor.ts";
import { bytesPerElement } from "../tensor/dtype.ts";
import { elementCount } from "../tensor/shape.ts";
import { dequantise } from "./ggml-blocks.ts";
import type { GgmlBlocks } from "./ggml-blocks.ts";
import { readGgufHeader } from "./gguf-header.ts";
import type { GgufHeader, GgufTensor, GgufValue } from "./gguf-header.ts";
import { inFile, readRange } from "./read-range.ts";
import { WeightError } from "./weight-source.ts";
import type { WeightEntry, WeightSource } from "./weight-source.ts";

/** Gives every tensor as float32, whatever it is stored as. */
export type BlockSource = WeightSource & {
  blocks(name: string): GgmlBlocks;
};

export type GgufSource = BlockSource & {
  /** All metadata; `metadata` has the texts alone. */
  readonly values: ReadonlyMap<string, GgufValue>;
};

function textsOf(values: ReadonlyMap<string, GgufValue>): Readonly<Record<string, string>> {
  const texts: [string, string][] = [];
  for (const [key, value] of values) if (typeof value === "string") texts.push([key, value]);
  return Object.fromEntries(texts);
}

function entryOf({ name, shape, type }: GgufTensor): WeightEntry {
  const byteLength = elementCount(shape) * bytesPerElement("float32");
  return { name, dtype: "float32", shape, byteLength, stored: type };
}

/** Throws `WeightError` if there is no such file or it is not valid. */
export function openGguf(file: string): GgufSource {
  const descriptor = inFile(file, () => openSync(file, "r"));
  const read = (offset: number, length: number) => readRange(descriptor, offset, length);
  let header: GgufHeader;
  try {
    header = inFile(file, () => readGgufHeader(read, fstatSync(descriptor).size));
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  const tensors = new Map(header.tensors.map((each) => [each.name, each]));
  const entries = new Map(header.tensors.map((each) => [each.name, entryOf(each)]));
  let open = true;
  const blocks = (name: string): GgmlBlocks =>
    inFile(file, () => {
      const found = tensors.get(name);
      if (found === undefined) throw new WeightError(`there is no tensor "${name}"`);
      if (!open) throw new WeightError("the file has been closed");
      const { type, shape, offset, byteLength } = found;
      return { type, shape, bytes: read(offset, byteLength) };
    });
  return {
    metadata: textsOf(header.metadata),
    values: header.metadata,
    names: () => [...entries.keys()],
    entry: (name) => entries.get(name) ?? null,
    blocks,
    read: (name) => {
      const stored = blocks(name);
      return tensor("float32", stored.shape, dequantise(stored));
    },
    close: () => {
      if (open) closeSync(descriptor);
      open = false;
    },
  };
}
