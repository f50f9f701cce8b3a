/**
 * Takes named files out of a zip archive. Only the names asked for are read, so an entry that would climb out of the
 * folder, or that nobody wants, is never written. Checksums are the caller's business.
 */
import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { type Entry, openPromise, type ZipFile } from "yauzl";

export type Unzip = {
  archive: string;
  /** Name in the archive → file to write. */
  wanted: ReadonlyMap<string, string>;
  signal: AbortSignal;
};

async function extract(zip: ZipFile, entry: Entry, target: string, signal: AbortSignal) {
  await mkdir(path.dirname(target), { recursive: true });
  const bytes = await zip.openReadStreamPromise(entry);
  await pipeline(bytes, createWriteStream(target), { signal });
}

/** @returns the names that the archive does not hold. @throws where the archive is damaged */
export async function unzip({ archive, wanted, signal }: Unzip): Promise<string[]> {
  const zip = await openPromise(archive, { lazyEntries: true, autoClose: false });
  const missing = new Set(wanted.keys());
  try {
    for await (const entry of zip.eachEntry()) {
      const target = wanted.get(entry.fileName);
      if (target === undefined) continue;
      await extract(zip, entry, target, signal);
      missing.delete(entry.fileName);
    }
  } finally {
    zip.close();
  }
  return [...missing];
}
