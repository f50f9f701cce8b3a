/**
 * Job ids: `job_<shard>_<32 hex digits>`. The shard that owns a job is part of its id, so the number of shards
 * can change while old jobs are still found. 128 random bits make an id unguessable.
 */
import * as z from "zod";

const pattern = /^job_(\d{1,4})_[0-9a-f]{32}$/;

export const JobId = z
  .string()
  .regex(pattern, "expected an id of the form job_<shard>_<32 hex digits>");
export type JobId = z.infer<typeof JobId>;

/** @param random 32 lower-case hex digits */
export function formatJobId(shard: number, random: string): JobId {
  return `job_${shard}_${random}`;
}

/** @returns the shard, or null where `id` is no job id */
export function shardOfJobId(id: string): number | null {
  const digits = pattern.exec(id)?.[1];
  return digits === undefined ? null : Number(digits);
}
