/**
 * Results that were computed before: KV holds what workers made, by `<requestKey>:<modelDigest>`, and of a large result
 * where it lies; over it each isolate keeps small ones, bounded in bytes. The request key holds tenant, task, model,
 * parameters and inputs, so nobody meets another tenant's results, and a changed model changes the digest. Only whole
 * results come in.
 */
import * as z from "zod";
import { limits } from "#contract/limits.ts";
import { ObjectReference } from "#contract/object-reference.ts";
import { ResultDocument } from "#contract/result-document.ts";
import type { Env } from "../environment.ts";
import { isolateCache } from "./isolate-cache.ts";
import type { StoredResult } from "./stored-result.ts";

const documentsOf = isolateCache<string>((document) => document.length);

export type ResultKey = { requestKey: string; modelDigest: string };

function nameOf({ requestKey, modelDigest }: ResultKey): string {
  return `${requestKey}:${modelDigest}`;
}

/** Of a large result; it may be gone from there. */
const Elsewhere = z.object({ reference: ObjectReference });

/** @returns null where nothing, or nothing that is still a result, is stored */
export async function findResult(env: Env, key: ResultKey): Promise<StoredResult | null> {
  const name = nameOf(key);
  const documents = documentsOf(env);
  const kept = documents.get(name);
  if (kept !== undefined) return { kind: "inline", document: kept };
  const text = await env.CACHE.get(name, "text");
  const found = text === null ? null : readStored(text);
  if (found?.kind === "inline") documents.set(name, found.document);
  return found;
}

/** Keeps a result document in this isolate. */
export function keepResult(env: Env, key: ResultKey, document: string): void {
  documentsOf(env).set(nameOf(key), document);
}

export async function storeResult(
  kv: KVNamespace,
  key: ResultKey,
  stored: StoredResult,
): Promise<void> {
  const text =
    stored.kind === "inline" ? stored.document : JSON.stringify({ reference: stored.reference });
  await kv.put(nameOf(key), text, { expirationTtl: limits.resultRetentionSeconds });
}

/** A document has a newline, a reference has none. */
function readStored(text: string): StoredResult | null {
  try {
    if (text.includes("\n")) return { kind: "inline", document: ResultDocument.parse(text) };
    return { kind: "reference", ...Elsewhere.parse(JSON.parse(text)) };
  } catch (error) {
    // Written by an older version, or cut short: as good as absent, and it will be written again.
    console.warn(JSON.stringify({ event: "cache.unreadable", reason: String(error) }));
    return null;
  }
}
