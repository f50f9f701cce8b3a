/**
 * POST /internal/shards/{shard}/events: what workers report of their jobs (contract/events.ts). Results are stored under
 * their cache key and handed to the shard side by side; an event is acknowledged once both have happened, so a worker that
 * got no answer may send it again. Reservations are settled here, whether the shard still knows the job or not.
 */
import { CodedError } from "#contract/errors.ts";
import {
  EventsRequest,
  type EventsResponse,
  type JobEvent,
  type SucceededEvent,
} from "#contract/events.ts";
import { limits } from "#contract/limits.ts";
import type { ModelDigest } from "#contract/models.ts";
import { storeResult } from "../cache.ts";
import type { EdgeContext } from "../context.ts";
import { type Settings, settingsOf } from "../environment.ts";
import { getObject, putObject } from "../jobs/object-store.ts";
import { settle } from "../jobs/settle.ts";
import type { ShardEvent, StoredResult } from "../jobs/shard-protocol.ts";
import { shardStub } from "../jobs/shard-stub.ts";
import { utf8Bytes } from "../jobs/utf8-bytes.ts";
import { tellDigests } from "../registry/known-models.ts";
import { decodeText, parseJson } from "../request-body.ts";
import { readSigned } from "../signature.ts";
import { validate } from "../validation.ts";

/** KV takes no more; a result past this is not worth moving either. */
const cachedBytesMax = 20 * 1024 * 1024;

export async function receiveEvents(c: EdgeContext): Promise<Response> {
  const settings = settingsOf(c.env);
  const body = await readSigned(c.req.raw, settings.callbackSecrets, Date.now() / 1_000);
  const request = validate(EventsRequest, parseJson(decodeText(body)));
  const shard = shardParameter(c.req.param("shard"));
  // Before anybody is answered: the same request may come again at once, from anywhere.
  await tellDigests(c, request.events.flatMap(modelsOf));
  const prepared = await Promise.all(request.events.map((event) => prepare(event, settings)));

  const [stored, { cancelled, delivered }] = await Promise.all([
    Promise.all(prepared.map(({ event, result }) => store(c, event, result))),
    shardStub(c.env, shard).receive({
      events: prepared.map(({ forShard }) => forShard),
      inFlight: request.inFlight,
    }),
  ]);
  const wanted = new Set(delivered);
  await Promise.all(request.events.map((event) => settleEvent(c, event, wanted)));

  const acked = request.events
    .filter((_, index) => stored[index])
    .map(({ jobId, sequence }) => ({ jobId, sequence }));
  return Response.json({ acked, cancelled } satisfies EventsResponse);
}

function shardParameter(text: string | undefined): number {
  if (text !== undefined && /^\d{1,4}$/.test(text)) return Number(text);
  throw new CodedError("not_found", "No such shard.", { param: "shard" });
}

function modelsOf(event: JobEvent): ModelDigest[] {
  return event.type === "succeeded" ? (event.models ?? []) : [];
}

type Prepared = { event: JobEvent; forShard: ShardEvent; result: StoredResult | null };

/** An event as the shard takes it: its result as text, or as a reference where it is too large for a row. */
async function prepare(event: JobEvent, settings: Settings): Promise<Prepared> {
  const { jobId, sequence, type } = event;
  if (type === "succeeded") {
    const result = await storable(event, settings);
    return { event, result, forShard: { jobId, sequence, kind: "succeeded", result } };
  }
  const forShard: ShardEvent =
    type === "failed"
      ? { jobId, sequence, kind: "failed", error: event.error }
      : { jobId, sequence, kind: type };
  return { event, result: null, forShard };
}

async function storable({ jobId, result }: SucceededEvent, settings: Settings) {
  if ("sha256" in result) return { kind: "reference", reference: result } satisfies StoredResult;
  const json = JSON.stringify(result);
  if (utf8Bytes(json, limits.inlineResultBytesMax) <= limits.inlineResultBytesMax) {
    return { kind: "inline", json } satisfies StoredResult;
  }
  const reference = await putObject(settings, `jobs/results/${jobId}.json`, json);
  return { kind: "reference", reference } satisfies StoredResult;
}

/** @returns whether the event may be acknowledged as far as the cache is concerned */
async function store(
  c: EdgeContext,
  event: JobEvent,
  result: StoredResult | null,
): Promise<boolean> {
  if (event.type !== "succeeded" || event.requestKey === null || result === null) return true;
  const { requestKey, modelDigest } = event;
  try {
    const json = await textOf(result, settingsOf(c.env));
    if (json !== null) await storeResult(c.env.CACHE, { requestKey, modelDigest }, json);
    return true;
  } catch (error) {
    // Unacknowledged, it comes again.
    console.error(
      JSON.stringify({ event: "cache.store_failed", jobId: event.jobId, reason: String(error) }),
    );
    return false;
  }
}

async function textOf(result: StoredResult, settings: Settings): Promise<string | null> {
  if (result.kind === "inline") return result.json;
  if (result.reference.bytes > cachedBytesMax) return null;
  return getObject(settings, result.reference);
}

/** Charged is what somebody got, can come back for, or will find in the cache. */
async function settleEvent(
  c: EdgeContext,
  event: JobEvent,
  delivered: ReadonlySet<string>,
): Promise<void> {
  const { tenant, jobId } = event;
  if (event.type === "failed") await settle(c.env, tenant, jobId, 0);
  if (event.type !== "succeeded") return;
  const charged = delivered.has(jobId) || event.requestKey !== null;
  await settle(c.env, tenant, jobId, charged ? event.usage.promptTokens : 0);
}
