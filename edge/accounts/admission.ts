/**
 * Lets a request through or not. The operator passes by; everybody else is counted by the one object of its tenant. A
 * tenant that has used up its minute is remembered here until the minute ends, so that refusing it costs no call:
 * the window has no refill inside it.
 */
import { LRUCache } from "lru-cache";
import { CodedError } from "#contract/errors.ts";
import { formatJobId, type JobId, shardOfJobId } from "#contract/job-id.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { randomHex } from "../jobs/random-hex.ts";
import type { QuotaDecision, QuotaSnapshot } from "./quota-ledger.ts";
import { formatDuration } from "./rate-limit-headers.ts";

type Refusal = { untilMs: number; snapshot: QuotaSnapshot };

const refusals = new LRUCache<string, Refusal>({ max: 10_000 });
const shardDigits = 8;

export type Place = { id: JobId; shard: number };

/** Admits a request that will be computed. @throws CodedError `rate_limit_exceeded`, `insufficient_quota` */
export async function admitJob(
  c: EdgeContext,
  request: { requestKey: string | null; units: number },
): Promise<Place> {
  const settings = settingsOf(c.env);
  const place = newPlace(request.requestKey, settings.shards);
  const caller = c.get("caller");
  if (caller.operator) return place;
  refuseRemembered(c, Date.now());
  const decision = await quotaOf(c).reserve({ jobId: place.id, ...request }, settings.freeTier);
  settle(c, decision, request.units);
  // An open reservation of the same request: a retry keeps the job it has been charged for.
  return { id: decision.jobId, shard: shardOfJobId(decision.jobId) ?? place.shard };
}

/** Admits a request that was answered before: it counts, and costs no units. @throws CodedError `rate_limit_exceeded` */
export async function admitHit(c: EdgeContext): Promise<void> {
  if (c.get("caller").operator) return;
  refuseRemembered(c, Date.now());
  settle(c, await quotaOf(c).count(settingsOf(c.env).freeTier), 0);
}

function quotaOf(c: EdgeContext) {
  return c.env.QUOTA.getByName(c.get("caller").tenant);
}

/** The same request comes to the same shard, where it meets itself in flight. */
export function newPlace(requestKey: string | null, shards: number): Place {
  const random = randomHex();
  const choice = Number.parseInt((requestKey ?? random).slice(0, shardDigits), 16);
  const shard = choice % shards;
  return { id: formatJobId(shard, random), shard };
}

function refuseRemembered(c: EdgeContext, nowMs: number): void {
  const refusal = refusals.get(refusalKey(c));
  if (refusal === undefined || refusal.untilMs <= nowMs) return;
  const { requests, units } = refusal.snapshot;
  const snapshot = { requests: { ...requests, resetMs: refusal.untilMs - nowMs }, units };
  c.set("quota", { snapshot, code: "rate_limit_exceeded" });
  throw refusalError("rate_limit_exceeded", snapshot, 0);
}

function settle(c: EdgeContext, decision: QuotaDecision, units: number): void {
  c.set("quota", decision);
  if (decision.code === null) return;
  if (decision.code === "rate_limit_exceeded") {
    const untilMs = Date.now() + decision.snapshot.requests.resetMs;
    refusals.set(refusalKey(c), { untilMs, snapshot: decision.snapshot });
  }
  throw refusalError(decision.code, decision.snapshot, units);
}

/** The limit is part of the key: one that was raised holds at once. */
function refusalKey(c: EdgeContext): string {
  return `${settingsOf(c.env).freeTier.requestsPerMinute} ${c.get("caller").tenant}`;
}

function refusalError(
  code: "rate_limit_exceeded" | "insufficient_quota",
  snapshot: QuotaSnapshot,
  units: number,
): CodedError {
  if (code === "rate_limit_exceeded") {
    const { limit, resetMs } = snapshot.requests;
    return new CodedError(
      code,
      `All ${limit} requests of this minute are used. Wait ${formatDuration(resetMs)} and send it again.`,
    );
  }
  const { limit, remaining, resetMs } = snapshot.units;
  return new CodedError(
    code,
    `This request needs about ${units} of the ${limit} tokens a day, and ${remaining} are left. ` +
      `Send less at once, or wait ${formatDuration(resetMs)} until the next UTC day.`,
  );
}
