/** What an isolate keeps of texts that it made or read, bounded in bytes: it has 128 MB for everything. */
import { LRUCache } from "lru-cache";

const bytesMax = 8 * 1024 * 1024;
const entryBytesMax = 512 * 1024;
/** V8 keeps up to two bytes per character. */
const bytesPerCharacter = 2;
const entryOverheadBytes = 500;

/** @param charactersOf an entry, its key where that is long */
export function isolateCache<T extends object | string>(
  charactersOf: (value: T, key: string) => number,
): LRUCache<string, T> {
  return new LRUCache<string, T>({
    maxSize: bytesMax,
    maxEntrySize: entryBytesMax,
    sizeCalculation: (value, key) =>
      charactersOf(value, key) * bytesPerCharacter + entryOverheadBytes,
  });
}
