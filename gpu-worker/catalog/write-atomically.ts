/**
 * Writes a file so that a reader, or a process killed at any moment, sees the old content or the new one and never half of
 * it: the bytes go to a neighbour that is flushed and then renamed over the target.
 */
import { randomUUID } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import path from "node:path";

export async function writeAtomically(target: string, content: string | Uint8Array): Promise<void> {
  await mkdir(path.dirname(target), { recursive: true });
  const neighbour = `${target}.${randomUUID()}.tmp`;
  try {
    const file = await open(neighbour, "wx");
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(neighbour, target);
  } catch (error) {
    await rm(neighbour, { force: true });
    throw error;
  }
}
