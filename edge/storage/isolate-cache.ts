/**
 * What an isolate keeps of texts that it made or read, bounded in bytes: it has 128 MB for everything. It belongs to
 * the isolate's bindings, as its copy of the registry does.
 */
import { LRUCache } from "lru-cache";
import type { Env } from "../environment.ts";

const bytesMax = 8 * 1024 * 1024;
const entryBytesMax = 512 * 1024;
/** V8 keeps up to two bytes per character. */
const bytesPerCharacter = 2;
const entryOverheadBytes = 500;

/** @param charactersOf an entry, its key where that is long */
export function isolateCache<T extends object | string>(
  charactersOf: (value: T, key: string) => number,
): (env: Env) => LRUCache<string, T> {
  const caches = new WeakMap<Env, LRUCache<string, T>>();
  const openCache = () =>
    new LRUCache<string, T>({
      maxSize: bytesMax,
      maxEntrySize: entryBytesMax,
      sizeCalculation: (value, key) =>
        charactersOf(value, key) * bytesPerCharacter + entryOverheadBytes,
    });
  return (env) => {
    const cache = caches.get(env) ?? openCache();
    caches.set(env, cache);
    return cache;
  };
}
