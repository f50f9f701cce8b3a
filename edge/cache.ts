/**
 * Results that were computed before: KV holds what workers made, by `<requestKey>:<modelDigest>`; over it each isolate keeps
 * results and rendered answers, bounded in bytes. The request key holds tenant, task, model, parameters and inputs, so
 * nobody meets another tenant's results, and a changed model changes the digest. Only whole results come in.
 */
import { LRUCache } from "lru-cache";
import { JobResult } from "#contract/events.ts";
import { limits } from "#contract/limits.ts";
import type { ResultModels } from "./registry/known-models.ts";
import type { Rendered } from "./rendering.ts";

/** A rendered answer, and what must still be true for it to be given again. */
export type Answer = Rendered & ResultModels & { modelDigest: string };

/** KV refuses values over 25 MiB; a result near that is cheaper computed again than moved around. */
const storedBytesMax = 20 * 1024 * 1024;
/** Of each of the two layers; an isolate has 128 MB for everything. */
const isolateBytesMax = 16 * 1024 * 1024;
const entryBytesMax = 2 * 1024 * 1024;
/** A request's text is a key only up to this size: hashing it must stay cheaper than what it saves. */
const exactCallBytesMax = 64 * 1024;
/** V8 keeps up to two bytes per character. */
const bytesPerCharacter = 2;
const entryOverheadBytes = 500;

const results = new LRUCache<string, JobResult>({
  maxSize: isolateBytesMax,
  maxEntrySize: entryBytesMax,
});
const answers = new LRUCache<string, Answer>({
  maxSize: isolateBytesMax,
  maxEntrySize: entryBytesMax,
  sizeCalculation: (answer, key) =>
    (answer.body.length + key.length) * bytesPerCharacter + entryOverheadBytes,
});

export type ResultKey = { requestKey: string; modelDigest: string };

function textOf({ requestKey, modelDigest }: ResultKey): string {
  return `${requestKey}:${modelDigest}`;
}

/**
 * @param body of the request, unparsed
 * @returns where the answer to exactly this call is kept, so that the same bytes are not even parsed again; undefined: nowhere
 */
export function exactCallKey(
  tenant: string,
  pathAndQuery: string,
  body: string,
): string | undefined {
  if (body.length > exactCallBytesMax) return undefined;
  return `${tenant} ${pathAndQuery} ${body}`;
}

export function findAnswer(exactKey: string): Answer | undefined {
  return answers.get(exactKey);
}

export function keepAnswer(exactKey: string, answer: Answer): void {
  answers.set(exactKey, answer);
}

/** @returns null where nothing, or nothing that is still a result, is stored */
export async function findResult(kv: KVNamespace, key: ResultKey): Promise<JobResult | null> {
  const text = textOf(key);
  const kept = results.get(text);
  if (kept !== undefined) return kept;
  const json = await kv.get(text, "text");
  if (json === null) return null;
  const result = parseResult(json);
  if (result !== null) keepResult(key, result, json.length);
  return result;
}

/** Keeps a result in this isolate. @param characters of its JSON, or about */
export function keepResult(key: ResultKey, result: JobResult, characters: number): void {
  const size = characters * bytesPerCharacter + entryOverheadBytes;
  results.set(textOf(key), result, { size });
}

/** @param json a JobResult as JSON @returns whether it was stored; one that is too large is not */
export async function storeResult(kv: KVNamespace, key: ResultKey, json: string): Promise<boolean> {
  if (json.length > storedBytesMax) return false;
  await kv.put(textOf(key), json, { expirationTtl: limits.resultRetentionSeconds });
  return true;
}

function parseResult(json: string): JobResult | null {
  try {
    return JobResult.parse(JSON.parse(json));
  } catch (error) {
    // Written by an older version, or cut short: as good as absent, and it will be written again.
    console.warn(JSON.stringify({ event: "cache.unreadable", reason: String(error) }));
    return null;
  }
}
