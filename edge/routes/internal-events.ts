/**
 * POST /internal/shards/{shard}/events: what workers report of their jobs (contract/events.ts). Results are handed to the
 * shard and to the cache side by side; an event is acknowledged once the shard has it, so a worker that got no answer may
 * send it again. Reservations are settled here, whether the shard still knows the job or not.
 */
import { CodedError } from "#contract/errors.ts";
import { EventsRequest, type EventsResponse, type JobEvent } from "#contract/events.ts";
import type { EdgeContext } from "../context.ts";
import { type Settings, settingsOf } from "../environment.ts";
import { settle } from "../jobs/settle.ts";
import type { ShardEvent, StoredResult } from "../jobs/shard-protocol.ts";
import { shardStub } from "../jobs/shard-stub.ts";
import { cacheResult, storable } from "../jobs/store-result.ts";
import { RareLog } from "../rare-log.ts";
import { decodeText, parseJson } from "../request-body.ts";
import { readSigned } from "../signature.ts";
import { validate } from "../validation.ts";

const failures = new RareLog("result.store_failed");

export async function receiveEvents(c: EdgeContext): Promise<Response> {
  const settings = settingsOf(c.env);
  const body = await readSigned(c.req.raw, settings.callbackSecrets, Date.now() / 1_000);
  const request = validate(EventsRequest, parseJson(decodeText(body)));
  const shard = shardParameter(c.req.param("shard"));
  const tried = await Promise.all(request.events.map((event) => prepare(event, settings)));
  const prepared = tried.filter((each) => each !== null);

  const [{ cancelled, delivered }] = await Promise.all([
    shardStub(c.env, shard).receive({
      events: prepared.map(({ forShard }) => forShard),
      inFlight: request.inFlight,
    }),
    ...prepared.map((each) => cache(c, each)),
  ]);
  const wanted = new Set(delivered);
  await Promise.all(prepared.map(({ event }) => settleEvent(c, event, wanted)));

  const acked = prepared.map(({ event: { jobId, sequence } }) => ({ jobId, sequence }));
  return Response.json({ acked, cancelled } satisfies EventsResponse);
}

function shardParameter(text: string | undefined): number {
  if (text !== undefined && /^\d{1,4}$/.test(text)) return Number(text);
  throw new CodedError("not_found", "No such shard.", { param: "shard" });
}

type Prepared = { event: JobEvent; forShard: ShardEvent; result: StoredResult | null };

/**
 * An event as the shard takes it: its result as text, or as a reference where it is too large for a row. Null: its result
 * could not be put away; unacknowledged, the event comes again.
 */
async function prepare(event: JobEvent, settings: Settings): Promise<Prepared | null> {
  const { jobId, sequence, type } = event;
  if (type === "succeeded") {
    try {
      const result = await storable(event, settings);
      return { event, result, forShard: { jobId, sequence, kind: "succeeded", result } };
    } catch (error) {
      failures.note(String(error), Date.now());
      return null;
    }
  }
  const forShard: ShardEvent =
    type === "failed"
      ? { jobId, sequence, kind: "failed", error: event.error }
      : { jobId, sequence, kind: type };
  return { event, result: null, forShard };
}

async function cache(c: EdgeContext, { event, result }: Prepared): Promise<void> {
  if (event.type === "succeeded" && result !== null) await cacheResult(c.env, event, result);
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
