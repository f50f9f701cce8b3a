/**
 * Reads a safetensors file by range: the header at once, each tensor when it is asked for. The file is not mapped, so a
 * file that shrinks while it is open gives an error, not a dead process.
 */
import { closeSync, fstatSync, openSync } from "node:fs";
import { arrayFromBytes, tensor } from "../tensor/tensor.ts";
import { inFile, readRange } from "./read-range.ts";
import {
  headerLengthBytes,
  parseSafetensorsHeader,
  readHeaderLength,
} from "./safetensors-header.ts";
import type { SafetensorsHeader } from "./safetensors-header.ts";
import { WeightError } from "./weight-source.ts";
import type { WeightSource } from "./weight-source.ts";

function readHeader(descriptor: number): SafetensorsHeader {
  const { size } = fstatSync(descriptor);
  const prefix = readRange(descriptor, 0, Math.min(headerLengthBytes, size));
  const length = readHeaderLength(prefix, size);
  return parseSafetensorsHeader(readRange(descriptor, headerLengthBytes, length), size);
}

/** Throws `WeightError` if there is no such file or it is not valid. */
export function openSafetensors(file: string): WeightSource {
  const descriptor = inFile(file, () => openSync(file, "r"));
  let header: SafetensorsHeader;
  try {
    header = inFile(file, () => readHeader(descriptor));
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  const entries = new Map(header.entries.map((entry) => [entry.name, entry]));
  let open = true;
  return {
    metadata: header.metadata,
    names: () => [...entries.keys()],
    entry: (name) => entries.get(name) ?? null,
    read: (name) =>
      inFile(file, () => {
        const entry = entries.get(name);
        if (entry === undefined) throw new WeightError(`there is no tensor "${name}"`);
        if (!open) throw new WeightError("the file has been closed");
        const bytes = readRange(descriptor, entry.offset, entry.byteLength);
        return tensor(entry.dtype, entry.shape, arrayFromBytes(entry.dtype, bytes));
      }),
    close: () => {
      if (open) closeSync(descriptor);
      open = false;
    },
  };
}
