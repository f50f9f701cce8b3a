/**
 * Results that were computed before: KV holds what workers made, by `<requestKey>:<modelDigest>`, and of a large result
 * where it lies; over it each isolate keeps small results and rendered answers, bounded in bytes. The request key holds
 * tenant, task, model, parameters and inputs, so nobody meets another tenant's results, and a changed model changes the
 * digest. Only whole results come in.
 */
import { LRUCache } from "lru-cache";
import * as z from "zod";
import { JobResult } from "#contract/events.ts";
import { limits } from "#contract/limits.ts";
import { ObjectReference } from "#contract/object-reference.ts";
import type { StoredResult } from "../jobs/shard-protocol.ts";
import type { ResultModels } from "../registry/known-models.ts";
import type { Rendered } from "../answers/rendering.ts";

/** A rendered answer, and what must still be true for it to be given again. */
export type Answer = Rendered & ResultModels & { modelDigest: string };

/** Of each of the two layers; an isolate has 128 MB for everything. */
const isolateBytesMax = 8 * 1024 * 1024;
const entryBytesMax = 512 * 1024;
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

/** All that an answer hangs on, as it came. */
export type ExactCall = {
  tenant: string;
  pathAndQuery: string;
  /** The header that says whose the token ids in the body are; null: there is none. */
  tokenIds: string | null;
  /** Unparsed. */
  body: string;
};

/** @returns where the answer to exactly this call is kept, so that the same bytes are not even parsed again; undefined: nowhere */
export function exactCallKey(call: ExactCall): string | undefined {
  const { tenant, pathAndQuery, tokenIds, body } = call;
  if (body.length > exactCallBytesMax) return undefined;
  // No header has a line break in it.
  return `${tenant} ${pathAndQuery} ${tokenIds ?? ""}\n${body}`;
}

export function findAnswer(exactKey: string): Answer | undefined {
  return answers.get(exactKey);
}

export function keepAnswer(exactKey: string, answer: Answer): void {
  answers.set(exactKey, answer);
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
