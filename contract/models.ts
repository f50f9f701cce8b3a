/**
 * Models as the two sides speak of them: the manifest of a known model, and the state a worker announces
 * (POST /internal/workers, every `limits.workerAnnounceSeconds` and on each change).
 */
import * as z from "zod";
import { ModelLimits } from "./model-limits.ts";
import { Task } from "./tasks.ts";

export const ModelStatus = z.enum(["available", "downloading", "failed"]);
export type ModelStatus = z.infer<typeof ModelStatus>;

export const ModelState = z.object({
  id: z.string().min(1).max(200),
  /** Other names callers may use, the hub id among them. */
  aliases: z.array(z.string().min(1).max(200)),
  /**
   * The first is the default of `POST /hf/models/{id}`. None for a folder that failed before its tasks could be told.
   */
  tasks: z.array(Task),
  status: ModelStatus,
  /** 0…1 while downloading or compiling. */
  progress: z.number().min(0).max(1).nullable(),
  /** Why it failed, and what to do. Callers see it: it names no path and no address. */
  reason: z.string().max(2_000).nullable(),
  /** True: it failed for a reason that stays until its files change, so that no request need be sent to find out. */
  notServable: z.boolean().optional(),
  loaded: z.boolean(),
  /** Null until the bytes are here. */
  digest: z.string().max(200).nullable(),
  sizeBytes: z.int().nonnegative().nullable(),
  limits: ModelLimits.nullable(),
  licence: z.string().max(100).nullable(),
  /** Id or alias of the model that finds the entities this one relates. */
  entityModel: z.string().max(200).nullish(),
});
export type ModelState = z.infer<typeof ModelState>;

export const WorkerAnnouncement = z.object({
  worker: z.string().min(1).max(100),
  models: z.array(ModelState).max(1_000),
});
export type WorkerAnnouncement = z.infer<typeof WorkerAnnouncement>;

/** A model as a result names it. */
export const ModelDigest = z.object({
  id: z.string().min(1).max(200),
  digest: z.string().min(1).max(200),
});
export type ModelDigest = z.infer<typeof ModelDigest>;

const digestSeparator = "+";

/** The digest of a result that several models had a part in, the request's own first. */
export function joinDigests(digests: readonly string[]): string {
  return digests.join(digestSeparator);
}

/** The digests of such a result, each with its model. */
export function digestsIn(joined: string, ids: readonly string[]): ModelDigest[] {
  const digests = joined.split(digestSeparator);
  return ids.flatMap((id, at) => {
    const digest = digests[at];
    return digest === undefined ? [] : [{ id, digest }];
  });
}
