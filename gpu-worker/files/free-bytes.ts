/** Room on the disk. */
import { statfs } from "node:fs/promises";
import path from "node:path";

/** Of the disk that holds the folder, or would: the nearest part of its path that exists tells. */
export async function freeBytes(folder: string): Promise<number> {
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    try {
      const { bavail, bsize } = await statfs(at);
      return bavail * bsize;
    } catch (error) {
      if (at === path.dirname(at)) throw error;
    }
  }
}
