/** An object as a file of the disk, whole or not at all, its digest verified on the way. */
import { createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import type { ObjectReference } from "#contract/object-reference.ts";
import { withRetries } from "../jobs/object-requests.ts";
import type { ObjectStore } from "../jobs/object-store.ts";

/** What is there under that name is what was written here before. @throws where it is gone; the signal's reason */
export async function downloadFile(
  objects: Pick<ObjectStore, "open">,
  { reference, file }: { reference: ObjectReference; file: string },
  signal: AbortSignal,
): Promise<void> {
  const found = await stat(file).catch(() => null);
  if (found?.size === reference.bytes) return;
  const part = `${file}.part`;
  try {
    await withRetries(signal, () =>
      pipeline(objects.open(reference, signal), createWriteStream(part), { signal }),
    );
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    signal.throwIfAborted();
    throw error;
  }
}
