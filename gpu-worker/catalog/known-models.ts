/**
 * Every model this worker has heard of, with the place its files are or come from. An id is taken by the first that has
 * it: a folder of the operator's, the model that ships with the worker, the catalogue (whose models are fetched).
 */
import path from "node:path";
import { catalogue, type ModelManifest } from "#contract/catalogue.ts";
import type { FetchOptions } from "../downloads/fetch-model.ts";
import { cachedFolder, readFetchRecord } from "../downloads/model-cache.ts";
import { listLocalFolders } from "./local-folders.ts";

export type ModelPlace =
  | { kind: "folder"; folder: string }
  | { kind: "manifest"; manifest: ModelManifest }
  /** A tenant's own. */
  | {
      kind: "tuned";
      present(): Promise<string | null>;
      fetch(options: FetchOptions): Promise<string>;
    };

export type KnownModel = {
  id: string;
  aliases: string[];
  place: ModelPlace;
  /** From the catalogue; a folder may say more of itself. */
  manifest: ModelManifest | null;
};

/** The folder of the model's files; null where they are not here yet. */
export async function presentFolder(
  { id, place }: Pick<KnownModel, "id" | "place">,
  stateFolder: string,
): Promise<string | null> {
  if (place.kind === "folder") return place.folder;
  if (place.kind === "tuned") return place.present();
  const folder = cachedFolder(stateFolder, id);
  return (await readFetchRecord(folder)) === null ? null : folder;
}

/** Models that ship with the worker, so that it serves with no network. */
const embeddedFolder = path.join(import.meta.dirname, "embedded");

export type KnownModels = {
  models: KnownModel[];
  /** What was wrong with the operator's folder; null where nothing was. */
  problem: string | null;
};

async function localFolders(modelsFolder: string | null) {
  if (modelsFolder === null) return { folders: [], problem: null };
  try {
    return { folders: await listLocalFolders(modelsFolder), problem: null };
  } catch (error) {
    const problem = `LLM_OS_MODELS cannot be read, so none of its models is served: ${String(error)}`;
    return { folders: [], problem };
  }
}

export async function listKnownModels(modelsFolder: string | null): Promise<KnownModels> {
  const local = await localFolders(modelsFolder);
  const embedded = await listLocalFolders(embeddedFolder);
  const models = new Map<string, KnownModel>();
  for (const { id, folder } of [...local.folders, ...embedded]) {
    const manifest = catalogue.find((entry) => entry.id === id) ?? null;
    const aliases = manifest?.aliases ?? [];
    if (!models.has(id)) {
      models.set(id, { id, aliases, place: { kind: "folder", folder }, manifest });
    }
  }
  for (const manifest of catalogue) {
    const { id, aliases } = manifest;
    if (!models.has(id))
      models.set(id, { id, aliases, place: { kind: "manifest", manifest }, manifest });
  }
  return { models: [...models.values()], problem: local.problem };
}
