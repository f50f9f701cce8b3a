/**
 * A model that has just been tuned, and its base, loaded as the service loads them: for whoever measures what will be
 * served. Nothing of the tuned model stays in the state folder but the form that was chosen for it.
 */
import { openKeptDigests } from "../files/kept-digests.ts";
import { openGraphCache } from "../graphs/graph-cache.ts";
import type { BaseModel } from "./base-model.ts";
import type { KnownModel } from "./known-models.ts";
import type { LoadedModel } from "./loaded-model.ts";
import {
  type CatalogSettings,
  type CatalogTools,
  cacheFolderOf,
  openCatalog,
} from "./open-catalog.ts";

export type TunedFolder = {
  readonly base: BaseModel;
  /** Of the tuned model. */
  readonly folder: string;
};

export type TunedTools = Pick<CatalogTools, "runtime" | "log"> & {
  readonly settings: CatalogSettings;
};

export type OpenedTuned = {
  readonly base: LoadedModel;
  readonly tuned: LoadedModel;
  close(): Promise<void>;
};

/** @throws CodedError that says why one of them cannot be served; the signal's reason */
export async function openTuned(
  { base, folder }: TunedFolder,
  { settings, runtime, log }: TunedTools,
  signal: AbortSignal,
): Promise<OpenedTuned> {
  const own = { ...base.known, place: { kind: "folder", folder: base.folder } } as const;
  // No folder's name, so that it is not its base's.
  const id = `${own.id}, tuned`;
  const tuned: KnownModel = { id, aliases: [], place: { kind: "folder", folder }, manifest: null };
  const cache = cacheFolderOf(settings);
  const catalog = await openCatalog(settings, { runtime, log, now: Date.now }, () =>
    Promise.resolve({ models: [own, tuned], problem: null }),
  );
  try {
    const { model, release } = await catalog.lease(id, signal);
    const { model: from, release: releaseBase } = await catalog.lease(own.id, signal);
    return {
      base: from,
      tuned: model,
      async close() {
        release();
        releaseBase();
        await catalog.close();
        const graphs = openGraphCache(cache, openKeptDigests(cache));
        await graphs.discardModel(model.digest);
      },
    };
  } catch (error) {
    await catalog.close();
    throw error;
  }
}
