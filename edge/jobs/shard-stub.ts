/** Where a shard's object is found. */
import type { JobShard } from "./job-shard.ts";

export type ShardBinding = { readonly SHARD: DurableObjectNamespace<JobShard> };

export function shardStub(env: ShardBinding, shard: number): DurableObjectStub<JobShard> {
  return env.SHARD.get(env.SHARD.idFromName(`shard-${shard}`));
}
