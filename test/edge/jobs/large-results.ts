/** Results in object storage, as a worker would have put them there, for tests of whoever shows them. */
import type { ObjectReference } from "../../../contract/object-reference.ts";
import {
  type JobResult,
  resultDocument,
  resultDocumentKey,
} from "../../../contract/result-document.ts";
import type { OutsideWorld } from "./outside-world.ts";

/** Puts the document of a result into the store. @returns what the worker's event refers to it by */
export async function putResult(
  world: OutsideWorld,
  jobId: string,
  result: JobResult,
): Promise<ObjectReference> {
  const bytes = new TextEncoder().encode(resultDocument(result));
  const sha256 = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  const key = resultDocumentKey(jobId);
  world.objects.set(key, bytes);
  return { key, bytes: bytes.byteLength, sha256 };
}
