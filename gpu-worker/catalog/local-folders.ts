/**
 * The models an operator put on the disk: each folder below `LLM_OS_MODELS` that holds a config.json, a modules.json,
 * an adapter_config.json or a GGUF file is one, named as its folder. Whether it can be served is found out elsewhere.
 */
import { readdir } from "node:fs/promises";
import path from "node:path";

const modelFiles: readonly string[] = ["config.json", "modules.json", "adapter_config.json"];

export type LocalFolder = { id: string; folder: string };

/** File names of a folder, none where it is no folder. */
async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}

/** @throws the file system's error where `modelsFolder` itself cannot be read */
export async function listLocalFolders(modelsFolder: string): Promise<LocalFolder[]> {
  const names = (await readdir(modelsFolder)).filter((name) => !name.startsWith("."));
  const found = await Promise.all(
    names.map(async (id) => {
      const folder = path.join(modelsFolder, id);
      const isModel = (await namesIn(folder)).some(
        (name) => modelFiles.includes(name) || name.endsWith(".gguf"),
      );
      return isModel ? [{ id, folder }] : [];
    }),
  );
  return found.flat().toSorted((a, b) => a.id.localeCompare(b.id));
}
