/** A folder as a model of the catalog: a checkpoint, or an adapter on one. */
import { readAdapter } from "./adapter-folder.ts";
import { type AdapterModel, describeAdapter } from "./adapter-model.ts";
import { type CatalogueWords, type Checkpoint, readCheckpoint } from "./checkpoint.ts";

export type ModelFolder = Checkpoint | AdapterModel;

/** @throws Error whose message completes "the folder cannot be served: …" */
export async function readModelFolder(
  folder: string,
  words: CatalogueWords = {},
): Promise<ModelFolder> {
  const adapter = await readAdapter(folder);
  return adapter === null ? readCheckpoint(folder, words) : describeAdapter(folder, adapter);
}
