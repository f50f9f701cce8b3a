/**
 * The models fetched on this machine, a folder each under `STATE/models`. A folder counts only once its record is
 * written, which is the last thing a fetch does; until then its files gather in a neighbour that the next try goes on
 * from.
 */
import { stat } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";
import { readNote } from "../files/json-file.ts";

const recordName = "llm-os-source.json";

const FetchRecord = z.object({
  formatVersion: z.literal(1),
  id: z.string(),
  source: z.string(),
  revision: z.string(),
  files: z.array(z.object({ path: z.string(), sha256: z.string(), bytes: z.int().nonnegative() })),
});
export type FetchRecord = z.infer<typeof FetchRecord>;

/** Ids may hold a slash; a folder's name may not. */
function folderName(id: string): string {
  return encodeURIComponent(id)
    .replaceAll("%2F", "--")
    .replaceAll("*", "%2A")
    .replace(/^\./, "%2E");
}

export function cachedFolder(stateFolder: string, id: string): string {
  return path.join(stateFolder, "models", folderName(id));
}

/** Where a fetch of the model gathers its files. */
export function gatheringFolder(stateFolder: string, id: string): string {
  return `${cachedFolder(stateFolder, id)}.partial`;
}

export function recordFile(folder: string): string {
  return path.join(folder, recordName);
}

/** The record of a whole model in `folder`, or null where there is none: not fetched, or since damaged. */
export async function readFetchRecord(folder: string): Promise<FetchRecord | null> {
  const record = await readNote(recordFile(folder), FetchRecord);
  if (record === null) return null;
  const sizes = await Promise.all(
    record.files.map(async (file) => {
      const found = await stat(path.join(folder, file.path)).catch(() => null);
      return found?.size === file.bytes;
    }),
  );
  return sizes.every(Boolean) ? record : null;
}
