/**
 * Writes a file so that a reader, or a process killed at any moment, sees the old content or the new one and never half
 * of it: the bytes go to a neighbour that is then renamed over the target. Not flushed to the disk: after a power cut
 * the file may be damaged, which the digest kept with it tells.
 */
import { randomUUID } from "node:crypto";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";

export async function writeAtomically(target: string, content: string | Uint8Array): Promise<void> {
  await mkdir(path.dirname(target), { recursive: true });
  const neighbour = `${target}.${randomUUID()}.tmp`;
  try {
    await writeFile(neighbour, content);
    await rename(neighbour, target);
  } catch (error) {
    await rm(neighbour, { force: true });
    throw error;
  }
}
