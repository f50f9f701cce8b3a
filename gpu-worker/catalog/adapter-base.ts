/** What adapters of every kind ask of the model that they were made for. */
import type { Adapter } from "../checkpoints/adapter-folder.ts";
import type { ModelLease } from "../model/served-model.ts";
import type { LoadedModel } from "./loaded-model.ts";

/** The model that an adapter was made for. */
export type Base = {
  /**
   * Null: it is not known before the model has been loaded once. @throws where its files are not here, or cannot be
   * read
   */
  digest(signal: AbortSignal): Promise<string | null>;
  lease(signal: AbortSignal): Promise<ModelLease<LoadedModel>>;
};

/** As an adapter names it. */
export type BaseReference = Pick<Adapter, "baseDigest" | "baseName">;

export type AdapterLoading = {
  /** Of the base; released where loading fails, and when the adapter is disposed of. */
  lease: ModelLease<LoadedModel>;
  /** Unloads the adapter of the same base that was used longest ago. @returns false: all are in use */
  unloadIdle(): Promise<boolean>;
  /** Loads once others have made room for so many bytes. */
  withRoom(bytes: number, load: () => Promise<LoadedModel>): Promise<LoadedModel>;
  signal: AbortSignal;
};

/** @param upstreamDigest of the model here; null: not known yet @returns null where nothing is known to be wrong */
export function wrongBase(
  { baseDigest, baseName }: BaseReference,
  id: string,
  upstreamDigest: string | null,
): Error | null {
  if (baseDigest === null || upstreamDigest === null || upstreamDigest === baseDigest) return null;
  return new Error(
    `it was fitted on ${baseName} with sha256 ${baseDigest}, but the weights of ${id} here have ${upstreamDigest}`,
  );
}

/** @throws Error where the weights are known to be others */
export function expectBase(
  adapter: BaseReference,
  { id, upstreamDigest }: Pick<LoadedModel, "id" | "upstreamDigest">,
): void {
  const wrong = wrongBase(adapter, id, upstreamDigest);
  if (wrong !== null) throw wrong;
}
