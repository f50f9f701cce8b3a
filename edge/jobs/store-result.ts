/**
 * Where the result of a worker's event is kept: in the shard's row as text, or in object storage where it is too large for
 * one, and under its cache key. The cache is a convenience: where it takes nothing, that is noted and held against nobody.
 */
import type { SucceededEvent } from "#contract/events.ts";
import { limits } from "#contract/limits.ts";
import { storeResult } from "../cache.ts";
import { type Env, type Settings, settingsOf } from "../environment.ts";
import { getObject, putObject } from "./object-store.ts";
import type { StoredResult } from "./shard-protocol.ts";
import { utf8Bytes } from "./utf8-bytes.ts";

/** KV takes no more; a result past this is not worth moving either. */
const cachedBytesMax = 20 * 1024 * 1024;

/** @throws Error where object storage does not take a large result */
export async function storable(
  { jobId, result }: Pick<SucceededEvent, "jobId" | "result">,
  settings: Settings,
): Promise<StoredResult> {
  if ("sha256" in result) return { kind: "reference", reference: result };
  const json = JSON.stringify(result);
  if (utf8Bytes(json, limits.inlineResultBytesMax) <= limits.inlineResultBytesMax) {
    return { kind: "inline", json };
  }
  const reference = await putObject(settings, `jobs/results/${jobId}.json`, json);
  return { kind: "reference", reference };
}

/** Never rejects: free plans of KV take a thousand writes a day. */
export async function cacheResult(
  env: Env,
  { requestKey, modelDigest }: Pick<SucceededEvent, "requestKey" | "modelDigest">,
  stored: StoredResult,
): Promise<void> {
  if (requestKey === null) return;
  try {
    const json = await textOf(stored, settingsOf(env));
    if (json !== null) await storeResult(env.CACHE, { requestKey, modelDigest }, json);
  } catch (error) {
    console.error(JSON.stringify({ event: "cache.store_failed", reason: String(error) }));
  }
}

async function textOf(result: StoredResult, settings: Settings): Promise<string | null> {
  if (result.kind === "inline") return result.json;
  if (result.reference.bytes > cachedBytesMax) return null;
  return getObject(settings, result.reference);
}
