/**
 * Results that were computed before: KV holds what workers made, by `<requestKey>:<modelDigest>`, and of a large result
 * where it lies; over it each isolate keeps small ones, bounded in bytes. The request key holds tenant, task, model,
 * parameters and inputs, so nobody meets another tenant's results, and a changed model changes the digest. Only whole
 * results come in.
 */
import { LRUCache } from "lru-cache";
import * as z from "zod";
import { JobResult } from "#contract/events.ts";
import { limits } from "#contract/limits.ts";
import { ObjectReference } from "#contract/object-reference.ts";
import type { StoredResult } from "./stored-result.ts";

/** An isolate has 128 MB for everything. */
const isolateBytesMax = 8 * 1024 * 1024;
const entryBytesMax = 512 * 1024;
/** V8 keeps up to two bytes per character. */
const bytesPerCharacter = 2;
const entryOverheadBytes = 500;

const results = new LRUCache<string, JobResult>({
  maxSize: isolateBytesMax,
  maxEntrySize: entryBytesMax,
});

export type ResultKey = { requestKey: string; modelDigest: string };

function textOf({ requestKey, modelDigest }: ResultKey): string {
  return `${requestKey}:${modelDigest}`;
}

export type Found =
  | { kind: "result"; result: JobResult }
  /** Where it lies; it may be gone from there. */
  | { kind: "reference"; reference: ObjectReference };

/** Of a large result. */
const Elsewhere = z.object({ reference: ObjectReference });

/** @returns null where nothing, or nothing that is still a result, is stored */
export async function findResult(kv: KVNamespace, key: ResultKey): Promise<Found | null> {
  const text = textOf(key);
  const kept = results.get(text);
  if (kept !== undefined) return { kind: "result", result: kept };
  const json = await kv.get(text, "text");
  if (json === null) return null;
  const found = parseFound(json);
  if (found?.kind === "result") keepResult(key, found.result, json.length);
  return found;
}

/** Keeps a result in this isolate. @param characters of its JSON, or about */
export function keepResult(key: ResultKey, result: JobResult, characters: number): void {
  const size = characters * bytesPerCharacter + entryOverheadBytes;
  results.set(textOf(key), result, { size });
}

export async function storeResult(
  kv: KVNamespace,
  key: ResultKey,
  stored: StoredResult,
): Promise<void> {
  const json =
    stored.kind === "inline" ? stored.json : JSON.stringify({ reference: stored.reference });
  await kv.put(textOf(key), json, { expirationTtl: limits.resultRetentionSeconds });
}

function parseFound(json: string): Found | null {
  try {
    const value: unknown = JSON.parse(json);
    const elsewhere = Elsewhere.safeParse(value);
    if (elsewhere.success) return { kind: "reference", reference: elsewhere.data.reference };
    return { kind: "result", result: JobResult.parse(value) };
  } catch (error) {
    // Written by an older version, or cut short: as good as absent, and it will be written again.
    console.warn(JSON.stringify({ event: "cache.unreadable", reason: String(error) }));
    return null;
  }
}
