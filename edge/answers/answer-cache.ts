/**
 * Answers that were given in this isolate, by the call to the byte, so that the same call is not even parsed again.
 * Bounded in bytes. The key holds the tenant; whoever gives an answer again asks first whether its models still vouch
 * for it.
 */
import type { EdgeContext } from "../context.ts";
import type { ResultModels } from "../registry/known-models.ts";
import { isolateCache } from "../storage/isolate-cache.ts";
import type { Rendered, RenderedResult } from "./render.ts";

/** A rendered answer, and what must still be true for it to be given again. */
export type Answer = Rendered & ResultModels & { modelDigest: string };

/** A request's text is a key only up to this size: hashing it must stay cheaper than what it saves. */
const exactCallBytesMax = 64 * 1024;

const answersOf = isolateCache<Answer>(({ body }, key) => body.length + key.length);

/** All that an answer hangs on, as it came. */
export type ExactCall = {
  tenant: string;
  pathAndQuery: string;
  /** The header that says whose the token ids in the body are; null: there is none. */
  tokenIds: string | null;
  /** Unparsed. */
  body: string;
};

/**
 * @returns where the answer to exactly this call is kept, so that the same bytes are not even parsed again; undefined:
 * nowhere
 */
export function exactCallKey(call: ExactCall): string | undefined {
  const { tenant, pathAndQuery, tokenIds, body } = call;
  if (body.length > exactCallBytesMax) return undefined;
  // No header has a line break in it.
  return `${tenant} ${pathAndQuery} ${tokenIds ?? ""}\n${body}`;
}

export function findAnswer({ env }: EdgeContext, exactKey: string): Answer | undefined {
  return answersOf(env).get(exactKey);
}

/** Keeps what this call is answered with, where its key says; nowhere, where it has none. */
export function keepAnswer(
  c: EdgeContext,
  { model, entityModel }: ResultModels,
  { head, body, headers }: RenderedResult,
): void {
  const key = c.get("exactCallKey");
  if (key === undefined) return;
  answersOf(c.env).set(key, { body, headers, model, entityModel, modelDigest: head.modelDigest });
}
