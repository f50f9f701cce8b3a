/**
 * The queue message: one job, complete, as the edge sends it and the worker receives it.
 * Lenient to unknown keys, so that either side may be deployed first; `version` changes when the meaning does.
 */
import * as z from "zod";
import { JobId } from "./job-id.ts";
import { limits } from "./limits.ts";
import { ObjectReference } from "./object-reference.ts";
import { type Task, tasks } from "./tasks.ts";

const envelope = {
  version: z.literal(1),
  id: JobId,
  shard: z.int().nonnegative(),
  /** Who asked: scope of the cache and of the quota, and the queue's MessageGroupId. */
  tenant: z.string().min(1).max(100),
  model: z.string().min(1).max(200),
  /**
   * sha256 of the canonical request without the model digest, lower-case hex. Null: the result is not to be stored.
   * The cache key is `<requestKey>:<modelDigest>`, the digest as the worker reports it.
   */
  requestKey: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
  /** Milliseconds since the epoch. */
  createdAt: z.int().positive(),
} as const;

function variant<T extends Task>(task: T) {
  const { input, parameters } = tasks[task];
  return z.object({
    ...envelope,
    task: z.literal(task),
    parameters: parameters as (typeof tasks)[T]["parameters"],
    /** The inputs themselves, or where they lie as a JSON array. */
    inputs: z.union([
      z
        .array(input as (typeof tasks)[T]["input"])
        .min(1)
        .max(limits.inputsMax),
      ObjectReference,
    ]),
  });
}

export const JobMessage = z.discriminatedUnion("task", [
  variant("noop"),
  variant("feature-extraction"),
  variant("sentence-similarity"),
]);
export type JobMessage = z.infer<typeof JobMessage>;
export type JobMessageOf<T extends Task> = Extract<JobMessage, { task: T }>;
