/**
 * Bytes of a weight file by range, and errors that name the file.
 */
import { readSync } from "node:fs";
import path from "node:path";
import { WeightError } from "./weight-source.ts";

/** One read call takes at most this: Linux stops at 2 GiB. */
const readBytesMax = 1 << 30;

export function readRange(descriptor: number, offset: number, length: number): Uint8Array {
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

/** Runs `work`, naming the file in what it throws. */
export function inFile<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new WeightError(`${path.basename(file)}: ${reason}`, { cause });
  }
}
