/**
 * Lets a request through or not. The operator passes by; everybody else is counted by the one object of its tenant, and
 * by that of its site where it has one. Who is over a limit is remembered here for as long as that is sure to last, so
 * that refusing it costs no call, and is done before the body is read.
 */
import { LRUCache } from "lru-cache";
import { formatJobId, type JobId, shardOfJobId } from "#contract/job-id.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { randomHex } from "../http/random-hex.ts";
import { type FreeTier, type Ledger, ledgersOf, limitsOf } from "./ledgers.ts";
import type { QuotaDecision, ReserveRequest } from "./quota-ledger.ts";
import { type Refused, refusalError } from "./refusal-error.ts";

declare module "../context.ts" {
  interface Variables {
    /** Undefined until the quota was asked; then the source of the rate-limit headers, on errors too. */
    quota: QuotaDecision | undefined;
  }
}

type Known = Refused & { untilMs: number };

/** Of this isolate, by the limits it was told and the name of the ledger. */
const known = new WeakMap<FreeTier, LRUCache<string, Known>>();
const knownMax = 10_000;
const shardDigits = 8;
/** A place among the open requests may come free at any moment. */
const openRetryMs = 1_000;
/** Units may come back from what is still open. */
const dayRetryMs = 10_000;

export type JobAddress = { id: JobId; shard: number };
/** `settledLately`: the same request was settled a moment ago, and its result may be in the cache by now. */
export type Admitted = JobAddress & { settledLately: boolean };

/**
 * Admits a request that will be computed.
 * @param again it was admitted before, and the job it joined had ended
 * @throws CodedError `rate_limit_exceeded`, `insufficient_quota`
 */
export async function admitJob(
  c: EdgeContext,
  request: { requestKey: string | null; units: number },
  again = false,
): Promise<Admitted> {
  const address = newJobAddress(request.requestKey, settingsOf(c.env).shards);
  const { tenant, operator } = c.get("caller");
  if (operator) return { ...address, settledLately: false };
  const asked: ReserveRequest = { jobId: address.id, ...request, again };
  const { own, site } = ledgersOf(tenant);
  const [mine, wide] = await Promise.all([
    reserve(c, own, asked),
    site === null ? null : reserve(c, site, asked),
  ]);
  const wideRefused = wide !== null && wide.refusal !== null;
  if (site !== null && !wideRefused && (mine.refusal !== null || wide?.jobId !== mine.jobId)) {
    giveBack(c, site, wide?.jobId ?? asked.jobId);
  }
  if (wideRefused && mine.refusal === null) giveBack(c, own, mine.jobId);
  decide(c, { own, site, mine, wide }, request.units);
  // An open reservation of the same request: a retry keeps the job it has been charged for.
  const shard = shardOfJobId(mine.jobId) ?? address.shard;
  return { id: mine.jobId, shard, settledLately: mine.settledLately };
}

/**
 * Admits a request that was answered before: it counts, and costs no units.
 * @throws CodedError `rate_limit_exceeded`
 */
export async function admitHit(c: EdgeContext): Promise<void> {
  const { tenant, operator } = c.get("caller");
  if (operator) return;
  const { own, site } = ledgersOf(tenant);
  const [mine, wide] = await Promise.all([count(c, own), site === null ? null : count(c, site)]);
  decide(c, { own, site, mine, wide }, 0);
}

/** To be called before a request is looked at. @throws CodedError where its caller is known to be over a limit */
export function refuseKnown(c: EdgeContext): void {
  const { tenant, operator } = c.get("caller");
  if (operator) return;
  const { own, site } = ledgersOf(tenant);
  const nowMs = Date.now();
  const found = [own, site].map((ledger) => ledger && knownOf(c).get(ledger.name));
  const refused = found.find((each) => each && each.untilMs > nowMs);
  if (!refused) return;
  const { requests, units } = refused.snapshot;
  const remainingMs = refused.untilMs - nowMs;
  const snapshot =
    refused.refusal === "minute"
      ? { requests: { ...requests, resetMs: remainingMs }, units }
      : refused.snapshot;
  c.set("quota", { refusal: refused.refusal, snapshot });
  throw refusalError({ ...refused, snapshot }, 0);
}

function reserve(c: EdgeContext, ledger: Ledger, asked: ReserveRequest) {
  return objectOf(c, ledger).reserve(asked, limitsOf(settingsOf(c.env).freeTier, ledger));
}

function count(c: EdgeContext, ledger: Ledger) {
  return objectOf(c, ledger).count(limitsOf(settingsOf(c.env).freeTier, ledger));
}

function giveBack(c: EdgeContext, ledger: Ledger, jobId: string): void {
  c.executionCtx.waitUntil(objectOf(c, ledger).release(jobId));
}

function objectOf(c: EdgeContext, { name }: Ledger) {
  return c.env.QUOTA.getByName(name);
}

/** The same request comes to the same shard, where it meets itself in flight. */
export function newJobAddress(requestKey: string | null, shards: number): JobAddress {
  const random = randomHex();
  const choice = Number.parseInt((requestKey ?? random).slice(0, shardDigits), 16);
  const shard = choice % shards;
  return { id: formatJobId(shard, random), shard };
}

type Decisions = {
  own: Ledger;
  mine: QuotaDecision;
  site: Ledger | null;
  wide: QuotaDecision | null;
};

/** @throws CodedError where one of the two refused; the caller's own limits are named first */
function decide(c: EdgeContext, { own, mine, site, wide }: Decisions, units: number): void {
  const [ledger, { refusal, snapshot }] =
    mine.refusal === null && site !== null && wide !== null && wide.refusal !== null
      ? [site, wide]
      : [own, mine];
  c.set("quota", { refusal, snapshot });
  if (refusal === null) return;
  const { openRequests } = limitsOf(settingsOf(c.env).freeTier, ledger);
  const refused = { refusal, snapshot, openRequests, ledger };
  const lastsMs = lastsFor(refused);
  if (lastsMs > 0) knownOf(c).set(ledger.name, { ...refused, untilMs: Date.now() + lastsMs });
  throw refusalError(refused, units);
}

/** For how long a refusal holds for every request, in milliseconds. A minute has no refill inside it. */
function lastsFor({ refusal, snapshot: { requests, units } }: Refused): number {
  if (refusal === "minute") return requests.resetMs;
  if (refusal === "open") return openRetryMs;
  // A smaller one may still be let through.
  return units.remaining > 0 ? 0 : Math.min(units.resetMs, dayRetryMs);
}

function knownOf(c: EdgeContext): LRUCache<string, Known> {
  const { freeTier } = settingsOf(c.env);
  const found = known.get(freeTier);
  if (found !== undefined) return found;
  const made = new LRUCache<string, Known>({ max: knownMax });
  known.set(freeTier, made);
  return made;
}
