/**
 * POST /internal/shards/{shard}/events: what workers report of their jobs (contract/events.ts). The shard hears of them
 * first and says what each met; then, each event by itself, its result goes to the cache where somebody may want it,
 * its reservation is settled, and it is acknowledged. What fails on the way is not, and comes again: each step may be
 * repeated.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { EventsEnvelope, type EventsResponse, JobEvent } from "#contract/events.ts";
import type { ModelDigest } from "#contract/models.ts";
import { settle, unitsOf } from "../accounts/settle.ts";
import type { EdgeContext } from "../context.ts";
import { type Settings, settingsOf } from "../environment.ts";
import { RareLog } from "../http/rare-log.ts";
import { decodeText, parseJson } from "../http/request-body.ts";
import { readSigned } from "../http/signature.ts";
import { validate } from "../http/validation.ts";
import type { ShardEvent, Verdict } from "../jobs/shard-protocol.ts";
import { shardStub } from "../jobs/shard-stub.ts";
import { tellDigests } from "../registry/known-models.ts";
import { cacheResult, storable } from "../storage/store-result.ts";
import type { StoredResult } from "../storage/stored-result.ts";

const reasonCharactersMax = 1_000;
const failures = new RareLog("result.store_failed");

export async function receiveEvents(c: EdgeContext): Promise<Response> {
  const settings = settingsOf(c.env);
  const body = await readSigned(c.req.raw, settings.callbackSecrets, Date.now() / 1_000);
  const request = validate(EventsEnvelope, parseJson(decodeText(body)));
  const shard = shardParameter(c.req.param("shard"));
  const { events, refused } = readEvents(request.events);
  // Before anybody is answered: the same request may come again at once, from anywhere.
  await tellDigests(c, events.flatMap(modelsOf));
  const tried = await Promise.all(events.map((event) => prepare(event, settings)));
  const prepared = tried.filter((each) => each !== null);

  const { cancelled, verdicts } = await shardStub(c.env, shard).receive({
    events: prepared.map(({ forShard }) => forShard),
    inFlight: request.inFlight,
  });
  const carriedOut = await Promise.all(
    prepared.map((each, index) => carryOut(c, each, verdicts[index])),
  );
  const acked = prepared
    .filter((_, index) => carriedOut[index])
    .map(({ event: { jobId, sequence } }) => ({ jobId, sequence }));
  const answer: EventsResponse = { acked, cancelled };
  if (refused.length > 0) answer.refused = refused;
  return Response.json(answer);
}

function shardParameter(text: string | undefined): number {
  if (text !== undefined && /^\d{1,4}$/.test(text)) return Number(text);
  throw new CodedError("not_found", "No such shard.", { param: "shard" });
}

function readEvents(given: readonly unknown[]) {
  const events: JobEvent[] = [];
  const refused: { index: number; reason: string }[] = [];
  for (const [index, each] of given.entries()) {
    const parsed = JobEvent.safeParse(each);
    if (parsed.success) {
      events.push(parsed.data);
      continue;
    }
    const reason = z.prettifyError(parsed.error).slice(0, reasonCharactersMax);
    console.error(JSON.stringify({ event: "events.refused", reason }));
    refused.push({ index, reason });
  }
  return { events, refused };
}

function modelsOf(event: JobEvent): ModelDigest[] {
  return event.type === "succeeded" ? (event.models ?? []) : [];
}

type Prepared = { event: JobEvent; forShard: ShardEvent; result: StoredResult | null };

/**
 * An event as the shard takes it: its result as text, or as a reference where it is too large for a row. Null: its
 * result could not be put away.
 */
async function prepare(event: JobEvent, settings: Settings): Promise<Prepared | null> {
  const { jobId, sequence, type } = event;
  if (type === "started") {
    return { event, result: null, forShard: { jobId, sequence, kind: type } };
  }
  if (type === "progress") {
    const { completed, total } = event;
    return { event, result: null, forShard: { jobId, sequence, kind: type, completed, total } };
  }
  const units = unitsOf(event);
  if (type === "failed") {
    const { error } = event;
    return { event, result: null, forShard: { jobId, sequence, kind: type, units, error } };
  }
  if (type === "cancelled") {
    return { event, result: null, forShard: { jobId, sequence, kind: type, units } };
  }
  try {
    const result = await storable(event, settings);
    return { event, result, forShard: { jobId, sequence, kind: type, units, result } };
  } catch (error) {
    failures.note(String(error), Date.now());
    return null;
  }
}

/** @returns whether all was done that the event asks for */
async function carryOut(
  c: EdgeContext,
  { event, result }: Prepared,
  verdict: Verdict | undefined,
): Promise<boolean> {
  if (verdict === undefined) return false;
  const { wanted, units } = verdict;
  try {
    if (event.type === "succeeded" && result !== null && wanted) {
      await cacheResult(c.env, event, result);
    }
    if (units !== null) await settle(c.env, event.tenant, event.jobId, units);
    return true;
  } catch (error) {
    const { jobId } = event;
    console.error(JSON.stringify({ event: "event.not_settled", jobId, reason: String(error) }));
    return false;
  }
}
