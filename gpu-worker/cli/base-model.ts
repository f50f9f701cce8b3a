/** The model that something is made of: found by its id, and named as an adapter names it. */
import { hash } from "node:crypto";
import { type KnownModel, listKnownModels, presentFolder } from "../catalog/known-models.ts";
import type { CatalogSettings } from "../catalog/open-catalog.ts";
import { readCheckpoint } from "../checkpoints/checkpoint.ts";
import { readDecoderCheckpoint } from "../checkpoints/decoder-checkpoint.ts";
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

/** Its weights' files, an encoder's or a decoder's; and the digest of those that they are another form of, if they are. */
export async function weightsOf(folder: string) {
  const decoder = await readDecoderCheckpoint(folder, null);
  if (decoder !== null) return { derivedFrom: decoder.derivedFrom, files: decoder.weightsFiles };
  const { derivedFrom, weightsFile } = await readCheckpoint(folder);
  return { derivedFrom, files: [weightsFile] };
}

/** Of weights in several files it is the digest of their digests, line by line. */
async function digestOf(files: readonly string[], signal: AbortSignal): Promise<string> {
  const digests = await Promise.all(files.map((file) => sha256OfFile(file, signal)));
  const [first = ""] = digests;
  return digests.length === 1 ? first : hash("sha256", digests.join("\n"));
}

/** Which weights the base has. */
export async function describeBase({ known, folder }: BaseModel, signal: AbortSignal) {
  const { derivedFrom, files } = await weightsOf(folder);
  const hub = known.manifest?.sources.find((source) => source.kind === "hub");
  return {
    baseName: hub?.repository ?? known.id,
    baseDigest: derivedFrom ?? (await digestOf(files, signal)),
  };
}
