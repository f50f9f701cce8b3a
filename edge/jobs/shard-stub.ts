/** Where a shard's object is found. */
import type { Env } from "../environment.ts";
import type { JobShard } from "./job-shard.ts";

export function shardStub(env: Env, shard: number): DurableObjectStub<JobShard> {
  return env.SHARD.get(env.SHARD.idFromName(`shard-${shard}`));
}
