/**
 * The models an operator put on the disk: each folder below `LLM_OS_MODELS` that holds a config.json, a modules.json,
 * an adapter_config.json or a GGUF file is one, named as its folder, or as an adapter's llm-os.json says: names of
 * tuned models hold colons, which not every file system takes. Whether it can be served is found out elsewhere.
 */
import { readdir } from "node:fs/promises";
import path from "node:path";
import { adapterFiles, readAdapterId } from "../checkpoints/adapter-files.ts";

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
    names.map(async (name) => {
      const folder = path.join(modelsFolder, name);
      const files = await namesIn(folder);
      if (!files.some((file) => modelFiles.includes(file) || file.endsWith(".gguf"))) return [];
      const own = files.includes(adapterFiles.config) ? await readAdapterId(folder) : null;
      return [{ id: own ?? name, folder }];
    }),
  );
  return found.flat().toSorted((a, b) => a.id.localeCompare(b.id));
}
