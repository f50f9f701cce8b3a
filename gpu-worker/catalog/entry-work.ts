/** What the entries of a catalog have done for them, put together from the sources of files and the loader of graphs. */
import { rm } from "node:fs/promises";
import path from "node:path";
import type { Adapter } from "../checkpoints/adapter-folder.ts";
import { adapterDigest, loadAdapter } from "./load-adapter.ts";
import { isAdapter } from "../checkpoints/model-folder.ts";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import type { KeptDigests } from "../files/kept-digests.ts";
import type { KnownModel } from "./known-models.ts";
import type { LoadedModel } from "./loaded-model.ts";
import type { ModelLease } from "../model/served-model.ts";
import type { ModelLoader } from "./load-model.ts";
import { type FilesDigest, digestFiles } from "../checkpoints/model-digest.ts";
import { PassingFailure } from "./model-failure.ts";
import type { EntryWork, Watch } from "./model-entry.ts";
import { fetchModel, type FetchProgress, type FetchSettings } from "../downloads/fetch-model.ts";
import { cachedFolder, readFetchRecord, recordFile } from "../downloads/model-cache.ts";

function fetchStep({ step, bytes, totalBytes }: FetchProgress) {
  const known = totalBytes !== null && totalBytes > 0;
  return {
    doing: "fetching" as const,
    words: step,
    progress: known ? Math.min(1, bytes / totalBytes) : null,
  };
}

/**
 * Compares the weights with the record of their download.
 * @throws where the disk has changed them; the record is taken away, so that the next request fetches them again
 */
async function refuseDamaged({ folder, weightsFile }: Checkpoint, digest: FilesDigest) {
  const record = await readFetchRecord(folder);
  const name = path.relative(folder, weightsFile);
  const fetched = record?.files.find((file) => file.path === name);
  if (fetched === undefined || fetched.sha256 === digest.weights) return;
  await rm(recordFile(folder), { force: true });
  throw new PassingFailure(
    "its fetched weights were damaged on the disk; the next request fetches them anew",
  );
}

async function verifiedDigest(
  checkpoint: Checkpoint,
  digests: KeptDigests,
  signal: AbortSignal,
): Promise<FilesDigest> {
  const files = await digestFiles(checkpoint, digests, signal);
  await refuseDamaged(checkpoint, files);
  return files;
}

/** The model that an adapter's head was fitted on. */
export type Base = {
  /** Null as of EntryWork. @throws where its files are not here, or cannot be read */
  digest(signal: AbortSignal): Promise<string | null>;
  lease(signal: AbortSignal): Promise<ModelLease<LoadedModel>>;
};

export type EntryTools = {
  settings: FetchSettings;
  loader: ModelLoader;
  digests: KeptDigests;
  /** @throws Error where no model here can be it */
  baseOf(adapter: Adapter): Base;
  /** Loads once other models have made room for so many bytes. */
  withRoom(bytes: number, load: () => Promise<LoadedModel>): Promise<LoadedModel>;
};

export function entryWork({ settings, loader, digests, baseOf, withRoom }: EntryTools): EntryWork {
  return {
    async find({ id, place }: KnownModel) {
      if (place.kind === "folder") return place.folder;
      const folder = cachedFolder(settings.stateFolder, id);
      return (await readFetchRecord(folder)) === null ? null : folder;
    },
    async fetch({ id, place }: KnownModel, { onStep, signal }: Watch) {
      if (place.kind === "folder") throw new Error(`its folder ${id} has gone`);
      const onProgress = (progress: FetchProgress) => onStep(fetchStep(progress));
      return fetchModel(place.manifest, settings, { signal, onProgress });
    },
    async digest(model, signal) {
      if (!isAdapter(model)) {
        await loader.bytesNeeded(model, signal);
        return loader.digest(await verifiedDigest(model, digests, signal), signal);
      }
      const base = await baseOf(model.adapter).digest(signal);
      return base === null ? null : adapterDigest(model, base, signal);
    },
    async load(id, model, watch) {
      if (isAdapter(model)) {
        const lease = await baseOf(model.adapter).lease(watch.signal);
        return loadAdapter({ id, model }, lease, watch.signal);
      }
      const bytes = await loader.bytesNeeded(model, watch.signal);
      const files = await verifiedDigest(model, digests, watch.signal);
      return withRoom(bytes, () => loader.load({ id, checkpoint: model, files }, watch));
    },
  };
}
