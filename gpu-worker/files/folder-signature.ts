/** Whether anything in a folder has changed since it was looked at last, told without reading the files. */
import { readdir, stat } from "node:fs/promises";
import path from "node:path";

/** Names, sizes and times of all files; null where there is no folder. */
export async function folderSignature(folder: string): Promise<string | null> {
  try {
    const names = await readdir(folder, { recursive: true });
    const files = names.toSorted().map(async (name) => {
      const { size, mtimeMs } = await stat(path.join(folder, name));
      return `${name} ${size} ${mtimeMs}`;
    });
    return (await Promise.all(files)).join("\n");
  } catch {
    // Gone, or going: whoever reads the folder will say why.
    return null;
  }
}
