/**
 * Calls that are refused (4xx) or ask for what is known (jobs, models): they have a wider limit of their own, since
 * each costs a little. They are counted in this isolate, and a tenth of the limit at a time in the object of the
 * tenant, which knows of those of other isolates: a caller that reaches n isolates is stopped at the limit and n tenths
 * of it, at the latest. What is refused for being over a limit does no work and is not counted.
 */
import { LRUCache } from "lru-cache";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { type FreeTier, type Ledger, ledgersOf, limitsOf } from "./ledgers.ts";
import { floodError } from "./refusal-error.ts";
import { Tally } from "./tally.ts";

declare module "../context.ts" {
  interface Variables {
    /** Of a call refused before the quota was asked, when another can be let through. */
    retryAfterMs: number | undefined;
  }
}

type Flood = { tally: Tally; unsent: number; untilMs: number };

const floods = new WeakMap<FreeTier, LRUCache<string, Flood>>();
const floodsMax = 10_000;
/** Of a limit, told to the object at once. */
const partsOfLimit = 10;

/** @throws CodedError `rate_limit_exceeded` where the caller is over this limit */
export function refuseFlood(c: EdgeContext): void {
  const nowMs = Date.now();
  for (const ledger of ledgersOfCaller(c)) {
    const untilMs = floodsOf(c).get(ledger.name)?.untilMs ?? 0;
    if (untilMs <= nowMs) continue;
    c.set("retryAfterMs", untilMs - nowMs);
    throw floodError(ledger, limitOf(c, ledger), untilMs - nowMs);
  }
}

/** Counts a call that was refused, or asked for what is known. */
export function noteRefusal(c: EdgeContext): void {
  for (const ledger of ledgersOfCaller(c)) note(c, ledger, limitOf(c, ledger));
}

function note(c: EdgeContext, { name }: Ledger, limit: number): void {
  const flood = floodsOf(c).get(name) ?? { tally: new Tally(), unsent: 0, untilMs: 0 };
  floodsOf(c).set(name, flood);
  const over = (lastsMs: number) => {
    if (lastsMs > 0) flood.untilMs = Date.now() + lastsMs;
  };
  over(flood.tally.add(1, limit, Date.now()));
  flood.unsent += 1;
  if (flood.unsent < limit / partsOfLimit) return;
  const told = c.env.QUOTA.getByName(name).noteRefusals(flood.unsent, limit);
  flood.unsent = 0;
  c.executionCtx.waitUntil(told.then(over));
}

function ledgersOfCaller(c: EdgeContext): Ledger[] {
  const { tenant, operator } = c.get("caller");
  if (operator) return [];
  const { own, site } = ledgersOf(tenant);
  return site === null ? [own] : [own, site];
}

function limitOf(c: EdgeContext, ledger: Ledger): number {
  return limitsOf(settingsOf(c.env).freeTier, ledger).refusalsPerMinute;
}

function floodsOf(c: EdgeContext): LRUCache<string, Flood> {
  const { freeTier } = settingsOf(c.env);
  const found = floods.get(freeTier);
  if (found !== undefined) return found;
  const made = new LRUCache<string, Flood>({ max: floodsMax });
  floods.set(freeTier, made);
  return made;
}
