/** The model that something is made of: found by its id, fetched where it is not here, named as an adapter names it. */
import { EnvHttpProxyAgent } from "undici";
import { CodedError } from "#contract/errors.ts";
import { digestWeights } from "../checkpoints/model-digest.ts";
import { weightsOf } from "../checkpoints/weights-of.ts";
import { fetchModel } from "../downloads/fetch-model.ts";
import { pythonCommands } from "../downloads/pip-wheel.ts";
import { sha256OfFile } from "../files/file-digest.ts";
import { type KnownModel, listKnownModels, presentFolder } from "./known-models.ts";
import { type CatalogSettings, hubTimeouts } from "./open-catalog.ts";

export type BaseModel = { known: KnownModel; folder: string };

type Places = Pick<CatalogSettings, "modelsFolder" | "stateFolder">;

async function knownModel(id: string, { modelsFolder }: Places): Promise<KnownModel | null> {
  const { models } = await listKnownModels(modelsFolder);
  return models.find((each) => each.id === id || each.aliases.includes(id)) ?? null;
}

/** @throws Error where it is not known, or its files are not here */
export async function findBase(id: string, places: Places): Promise<BaseModel> {
  const known = await knownModel(id, places);
  if (known === null) throw new Error(`${id} is no model known here: see npm run model -- list`);
  const folder = await presentFolder(known, places.stateFolder);
  if (folder === null) throw new Error(`${id} is not here: npm run model -- fetch ${known.id}`);
  return { known, folder };
}

const retryDelayMs = 1_000;

/**
 * As `findBase`, and fetches what is not here.
 * @throws CodedError `model_not_found`, or `model_unavailable` where it cannot be fetched; the signal's reason
 */
export async function obtainBase(
  id: string,
  settings: Places & Pick<CatalogSettings, "hub">,
  signal: AbortSignal,
): Promise<BaseModel> {
  const known = await knownModel(id, settings);
  if (known === null) {
    throw new CodedError("model_not_found", `There is no model ${id} to tune`, { param: "model" });
  }
  const { stateFolder, hub } = settings;
  const present = await presentFolder(known, stateFolder);
  if (present !== null) return { known, folder: present };
  if (known.place.kind !== "manifest") throw new Error(`the folder of ${id} has gone`);
  const dispatcher = new EnvHttpProxyAgent(hubTimeouts);
  try {
    const fetching = { stateFolder, hub: { ...hub, dispatcher }, retryDelayMs, pythonCommands };
    const watch = { signal, onProgress: () => undefined };
    return { known, folder: await fetchModel(known.place.manifest, fetching, watch) };
  } finally {
    await dispatcher.destroy();
  }
}

/** Which weights the base has. */
export async function describeBase({ known, folder }: BaseModel, signal: AbortSignal) {
  const { derivedFrom, files } = await weightsOf(folder);
  const hub = known.manifest?.sources.find((source) => source.kind === "hub");
  return {
    baseName: hub?.repository ?? known.id,
    baseDigest:
      derivedFrom ?? (await digestWeights(files, { digests: { sha256: sha256OfFile }, signal })),
  };
}
