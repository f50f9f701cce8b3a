/** Weights in several safetensors files, as large checkpoints have them, under one table of contents. */
import { openSafetensors } from "./safetensors-reader.ts";
import { WeightError } from "./weight-source.ts";
import type { WeightSource } from "./weight-source.ts";

function closeAll(shards: readonly WeightSource[]): void {
  for (const shard of shards) shard.close();
}

/** Each tensor's file. */
function tableOf(shards: readonly WeightSource[]): ReadonlyMap<string, WeightSource> {
  const table = new Map<string, WeightSource>();
  for (const [name, shard] of shards.flatMap((each) =>
    each.names().map((n) => [n, each] as const),
  )) {
    if (table.has(name)) throw new WeightError(`two files have the tensor "${name}"`);
    table.set(name, shard);
  }
  return table;
}

function join(shards: readonly WeightSource[]): WeightSource {
  const table = tableOf(shards);
  return {
    metadata: shards[0]?.metadata ?? {},
    names: () => [...table.keys()],
    entry: (name) => table.get(name)?.entry(name) ?? null,
    read: (name) => {
      const shard = table.get(name);
      if (shard === undefined) throw new WeightError(`there is no tensor "${name}"`);
      return shard.read(name);
    },
    close: () => closeAll(shards),
  };
}

/** Throws `WeightError` if a file is missing or not valid, or a tensor stands in two. */
export function openShardedSafetensors(files: readonly string[]): WeightSource {
  const shards: WeightSource[] = [];
  try {
    for (const file of files) shards.push(openSafetensors(file));
    return join(shards);
  } catch (error) {
    closeAll(shards);
    throw error;
  }
}
