/**
 * Where the result of a worker's event is kept: in the shard's row as text, or in object storage where it is too large
 * for one, and under its cache key. The cache is a convenience: where it takes nothing, that is noted and held against
 * nobody.
 */
import type { SucceededEvent } from "#contract/events.ts";
import { limits } from "#contract/limits.ts";
import { resultDocumentKey, resultDocumentType } from "#contract/result-document.ts";
import type { Env, Settings } from "../environment.ts";
import { RareLog } from "../http/rare-log.ts";
import { utf8Bytes } from "../http/utf8-bytes.ts";
import { putObject } from "./object-store.ts";
import { storeResult } from "./result-cache.ts";
import type { StoredResult } from "./stored-result.ts";

const failures = new RareLog("cache.store_failed");

/** @throws Error where object storage does not take a large result */
export async function storable(
  { jobId, result }: Pick<SucceededEvent, "jobId" | "result">,
  settings: Settings,
): Promise<StoredResult> {
  if (typeof result !== "string") return { kind: "reference", reference: result };
  if (utf8Bytes(result, limits.inlineResultBytesMax) <= limits.inlineResultBytesMax) {
    return { kind: "inline", document: result };
  }
  const large = {
    key: resultDocumentKey(jobId),
    contentType: resultDocumentType,
    bytes: new TextEncoder().encode(result),
  };
  return { kind: "reference", reference: await putObject(settings, large) };
}

/** Never rejects: free plans of KV take a thousand writes a day. */
export async function cacheResult(
  env: Env,
  { requestKey, modelDigest }: Pick<SucceededEvent, "requestKey" | "modelDigest">,
  stored: StoredResult,
): Promise<void> {
  if (requestKey === null) return;
  try {
    await storeResult(env.CACHE, { requestKey, modelDigest }, stored);
  } catch (error) {
    failures.note(String(error), Date.now());
  }
}
