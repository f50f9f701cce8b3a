/**
 * The queue message: one job, complete, as the edge sends it and the worker receives it.
 * Lenient to unknown keys, so that either side may be deployed first; `version` changes when the meaning does.
 */
import * as z from "zod";
import { JobId } from "./job-id.ts";
import { limits } from "./limits.ts";
import { ObjectReference } from "./object-reference.ts";
import { Sha256 } from "./sha256.ts";
import { TunedModelSource } from "./training/tuned-model.ts";
import { Task, type TaskInput, type TaskParameters, tasks } from "./tasks.ts";

const envelope = {
  version: z.literal(1),
  id: JobId,
  shard: z.int().nonnegative(),
  /** Who asked: scope of the cache and of the quota, and the queue's MessageGroupId. */
  tenant: z.string().min(1).max(100),
  model: z.string().min(1).max(200),
  /**
   * Of the canonical request without the model digest. Null: the result is not to be stored.
   * The cache key is `<requestKey>:<modelDigest>`, the digest as the worker reports it.
   */
  requestKey: Sha256.nullable(),
  /** Whether tokens are reported as they are generated. Absent: the result alone. */
  stream: z.boolean().optional(),
  /** Of a tuned model: where its files are. Absent: the worker knows the model. */
  tuned: TunedModelSource.optional(),
  /** Milliseconds since the epoch. */
  createdAt: z.int().positive(),
} as const;

/** The message of one task. */
export type JobMessageOf<T extends Task> = z.infer<z.ZodObject<typeof envelope>> & {
  task: T;
  parameters: TaskParameters<T>;
  /** The inputs themselves, or where they lie as a JSON array. */
  inputs: TaskInput<T>[] | ObjectReference;
};
export type JobMessage = { [T in Task]: JobMessageOf<T> }[Task];

function variant(task: Task) {
  const { input, parameters } = tasks[task];
  const inputs = z
    .array(input as z.ZodType)
    .min(1)
    .max(limits.inputsMax);
  return z.object({
    ...envelope,
    task: z.literal(task),
    parameters,
    inputs: z.union([inputs, ObjectReference]),
  });
}

const [first, ...others] = Task.options.map(variant);

// The types of the variants are told by `JobMessageOf`: the union of a mapped table is not inferred.
export const JobMessage = z.discriminatedUnion("task", [
  first as NonNullable<typeof first>,
  ...others,
]) as unknown as z.ZodType<JobMessage>;
