/**
 * Deletes all objects whose keys begin alike, also those that nobody knows of: what was being stored when its sender
 * was lost.
 */
import type { Settings } from "../environment.ts";
import { withTimeout } from "../http/with-timeout.ts";
import { deleteObject } from "./object-writer.ts";
import { objectTimeoutMs, sendToStore } from "./s3-request.ts";

/** Pages of a listing, of a thousand keys each: more than anything of ours has. */
const pagesMax = 10;

/**
 * @param prefix of keys, of characters that need no escaping
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
 */
export async function deletePrefix(settings: Settings, prefix: string): Promise<void> {
  for (let pages = 0; pages < pagesMax; pages += 1) {
    const keys = await list(settings, prefix);
    if (keys.length === 0) return;
    for (const key of keys) await deleteObject(settings, key);
  }
}

async function list(settings: Settings, prefix: string): Promise<string[]> {
  const query = { "list-type": "2", prefix };
  const { status, text } = await withTimeout(objectTimeoutMs, async (signal) => {
    const response = await sendToStore(settings, { method: "GET", key: "", query, signal });
    return { status: response.status, text: await response.text() };
  });
  if (status !== 200)
    throw new Error(
      `object store: a list of ${prefix} was answered ${status}: ${text.slice(0, 500)}`,
    );
  const keys = [...text.matchAll(/<Key>([^<]+)<\/Key>/g)].map(([, key]) => String(key));
  return keys.filter((key) => key.startsWith(prefix));
}
