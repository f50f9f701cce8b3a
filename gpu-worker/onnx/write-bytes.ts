/** Writes of any size: one call of the system takes less than 2 GiB, and may write less than it was given. */
import type { FileHandle } from "node:fs/promises";

/** Of one call. */
const writeCallBytesMax = 2 ** 30;

/** Writes all of `bytes` at `offset`. */
export async function writeBytes(
  handle: FileHandle,
  bytes: Uint8Array,
  offset: number,
  callBytesMax = writeCallBytesMax,
): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const length = Math.min(bytes.length - done, callBytesMax);
    const { bytesWritten } = await handle.write(bytes, done, length, offset + done);
    done += bytesWritten;
  }
}
