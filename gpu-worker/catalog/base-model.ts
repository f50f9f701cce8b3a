/** The model that something is made of: found by its id, and named as an adapter names it. */
import { type KnownModel, listKnownModels, presentFolder } from "./known-models.ts";
import type { CatalogSettings } from "./open-catalog.ts";
import { readCheckpoint } from "../checkpoints/checkpoint.ts";
import { sha256OfFile } from "../files/file-digest.ts";

export type BaseModel = { known: KnownModel; folder: string };

/** @throws Error where it is not known, or its files are not here */
export async function findBase(
  id: string,
  { modelsFolder, stateFolder }: Pick<CatalogSettings, "modelsFolder" | "stateFolder">,
): Promise<BaseModel> {
  const { models } = await listKnownModels(modelsFolder);
  const known = models.find((each) => each.id === id || each.aliases.includes(id));
  if (known === undefined) {
    throw new Error(`${id} is no model known here: see npm run model -- list`);
  }
  const folder = await presentFolder(known, stateFolder);
  if (folder === null) throw new Error(`${id} is not here: npm run model -- fetch ${known.id}`);
  return { known, folder };
}

/** Which weights the base has. */
export async function describeBase({ known, folder }: BaseModel, signal: AbortSignal) {
  const { derivedFrom, weightsFile } = await readCheckpoint(folder);
  const hub = known.manifest?.sources.find((source) => source.kind === "hub");
  return {
    baseName: hub?.repository ?? known.id,
    baseDigest: derivedFrom ?? (await sha256OfFile(weightsFile, signal)),
  };
}
