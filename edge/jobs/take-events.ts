/**
 * What workers report of their jobs (contract/events.ts), however it comes: by POST, or by the WebSocket that ends in
 * the shard. The shard hears of events first and says what each met; then, each event by itself, its result goes to the
 * cache where somebody may want it, its reservation is settled, and it is acknowledged. What fails on the way is not,
 * and comes again: each step may be repeated.
 */
import * as z from "zod";
import {
  type EventsEnvelope,
  type EventsResponse,
  JobEvent,
  type TerminalEvent,
} from "#contract/events.ts";
import type { ModelDigest } from "#contract/models.ts";
import { settle, unitsOf } from "../accounts/settle.ts";
import { type Env, type Settings, settingsOf } from "../environment.ts";
import { RareLog } from "../http/rare-log.ts";
import { tellDigests } from "../registry/known-models.ts";
import { tellOwnDigests } from "../registry/own-models.ts";
import { cacheResult, storable } from "../storage/store-result.ts";
import type { StoredResult } from "../storage/stored-result.ts";
import type { ReceiveRequest, ReceiveResponse, ShardEvent, Verdict } from "./shard-protocol.ts";

const reasonCharactersMax = 1_000;
const failures = new RareLog("result.store_failed");

/** The shard whose jobs they are, near or far. */
export type EventShard = {
  receive: (request: ReceiveRequest) => ReceiveResponse | Promise<ReceiveResponse>;
};

/** Events are read one by one: one that is none is refused by itself. */
export async function takeEvents(
  env: Env,
  shard: EventShard,
  { events: unread, inFlight }: EventsEnvelope,
): Promise<EventsResponse> {
  const { events, refused } = readEvents(unread);
  const ends = events.filter((event) => isTerminal(event));
  const interim = events.filter((event) => !isTerminal(event));
  // Tokens never wait: what comes next may be of the same jobs.
  const early = interim.some(({ type }) => type === "tokens")
    ? carryInterim(interim, await shard.receive({ events: interim.map(interimOf), inFlight }))
    : null;
  // Before anybody is answered: the same request may come again at once, from anywhere.
  await tellDigests({ env }, ends.flatMap(modelsOf));
  await Promise.all(ends.map((end) => tellOwnDigests(env, end.tenant, modelsOf(end))));
  const rest = early === null ? events : ends;
  const late =
    early !== null && rest.length === 0 ? none : await carryAll(env, shard, rest, inFlight);
  const answer: EventsResponse = {
    acked: [...(early?.acked ?? []), ...late.acked],
    cancelled: [...new Set([...(early?.cancelled ?? []), ...late.cancelled])],
  };
  if (refused.length > 0) answer.refused = refused;
  return answer;
}

type Carried = Pick<EventsResponse, "acked" | "cancelled">;
const none: Carried = { acked: [], cancelled: [] };

function carryInterim(events: readonly InterimEvent[], { cancelled }: ReceiveResponse): Carried {
  return { acked: events.map(({ jobId, sequence }) => ({ jobId, sequence })), cancelled };
}

async function carryAll(
  env: Env,
  shard: EventShard,
  events: readonly JobEvent[],
  inFlight: ReceiveRequest["inFlight"],
): Promise<Carried> {
  const settings = settingsOf(env);
  const tried = await Promise.all(events.map((event) => prepare(event, settings)));
  const prepared = tried.filter((each) => each !== null);
  const { cancelled, verdicts } = await shard.receive({
    events: prepared.map(({ forShard }) => forShard),
    inFlight,
  });
  const carriedOut = await Promise.all(
    prepared.map((each, index) => carryOut(env, each, verdicts[index])),
  );
  const acked = prepared
    .filter((_, index) => carriedOut[index])
    .map(({ event: { jobId, sequence } }) => ({ jobId, sequence }));
  return { acked, cancelled };
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

type InterimEvent = Exclude<JobEvent, TerminalEvent>;

function isTerminal(event: JobEvent): event is TerminalEvent {
  return event.type === "succeeded" || event.type === "failed" || event.type === "cancelled";
}

function modelsOf(event: TerminalEvent): ModelDigest[] {
  return event.type === "succeeded" ? (event.models ?? []) : [];
}

type Prepared = { event: JobEvent; forShard: ShardEvent; result: StoredResult | null };

/**
 * An event as the shard takes it: its result as text, or as a reference where it is too large for a row. Null: its
 * result could not be put away.
 */
async function prepare(event: JobEvent, settings: Settings): Promise<Prepared | null> {
  if (!isTerminal(event)) return { event, result: null, forShard: interimOf(event) };
  const { jobId, sequence, type } = event;
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

function interimOf(event: InterimEvent): ShardEvent {
  const { jobId, sequence } = event;
  switch (event.type) {
    case "started":
      return { jobId, sequence, kind: event.type };
    case "progress":
      return { jobId, sequence, kind: "progress", completed: event.completed, total: event.total };
    case "tokens": {
      const { pieces, model, modelDigest } = event;
      return { jobId, sequence, kind: event.type, pieces, model, modelDigest };
    }
  }
}

/** @returns whether all was done that the event asks for */
async function carryOut(
  env: Env,
  { event, result }: Prepared,
  verdict: Verdict | undefined,
): Promise<boolean> {
  if (verdict === undefined) return false;
  const { wanted, units } = verdict;
  try {
    if (event.type === "succeeded" && result !== null && wanted) {
      await cacheResult(env, event, result);
    }
    if (units !== null) await settle(env, event.tenant, event.jobId, units);
    return true;
  } catch (error) {
    const { jobId } = event;
    console.error(JSON.stringify({ event: "event.not_settled", jobId, reason: String(error) }));
    return false;
  }
}
