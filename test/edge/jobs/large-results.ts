/** Results in object storage, as a worker would have put them there, for tests of whoever shows them. */
import type { JobResult } from "../../../contract/events.ts";
import type { ObjectReference } from "../../../contract/object-reference.ts";
import { resultDocumentKey, resultDocumentLines } from "../../../contract/result-document.ts";
import type { OutsideWorld } from "./outside-world.ts";

/** Puts the document of a result into the store. @returns what the worker's event refers to it by */
export async function putResult(
  world: OutsideWorld,
  jobId: string,
  result: JobResult,
): Promise<ObjectReference> {
  const bytes = new TextEncoder().encode([...resultDocumentLines(result)].join(""));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const key = resultDocumentKey(jobId);
  world.objects.set(key, bytes);
  return { key, bytes: bytes.byteLength, sha256 };
}
