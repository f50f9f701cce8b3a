/**
 * Reads a safetensors file by range: the header at once, each tensor when it is asked for. The file is not mapped, so a
 * file that shrinks while it is open gives an error, not a dead process.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import path from "node:path";
import { arrayFromBytes, tensor } from "../tensor/tensor.ts";
import {
  headerLengthBytes,
  parseSafetensorsHeader,
  readHeaderLength,
} from "./safetensors-header.ts";
import type { SafetensorsHeader } from "./safetensors-header.ts";
import { WeightError } from "./weight-source.ts";
import type { WeightSource } from "./weight-source.ts";

/** One read call takes at most this: Linux stops at 2 GiB. */
const readBytesMax = 1 << 30;

function readRange(descriptor: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const part = Math.min(length - done, readBytesMax);
    const count = readSync(descriptor, bytes, done, part, offset + done);
    if (count === 0) throw new WeightError(`the file ends ${length - done} bytes too early`);
    done += count;
  }
  return bytes;
}

function readHeader(descriptor: number): SafetensorsHeader {
  const { size } = fstatSync(descriptor);
  const prefix = readRange(descriptor, 0, Math.min(headerLengthBytes, size));
  const length = readHeaderLength(prefix, size);
  return parseSafetensorsHeader(readRange(descriptor, headerLengthBytes, length), size);
}

/** Runs `work`, naming the file in what it throws. */
function inFile<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new WeightError(`${path.basename(file)}: ${reason}`, { cause });
  }
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
