/**
 * The books that a tenant's requests stand in: its own, and those of the site, an IPv6 /48, that its network is part
 * of. A site can call from 65 536 networks, so all of them together have limits too.
 */
import type { Settings } from "../environment.ts";
import { siteOfNetwork } from "./network-of-address.ts";

/** How many times the limits of one network those of a site are. */
const siteMultiple = 16;

export type Ledger = {
  /** Of the object that keeps it. */
  name: string;
  /** As its callers know it; null: the caller alone. */
  site: string | null;
  /** How many times the free tier's limits it has. */
  multiple: number;
};

/** @param tenant not the operator */
export function ledgersOf(tenant: string): { own: Ledger; site: Ledger | null } {
  const own = { name: tenant, site: null, multiple: 1 };
  const site = tenant.startsWith("ip:") ? siteOfNetwork(tenant.slice("ip:".length)) : null;
  if (site === null) return { own, site: null };
  return { own, site: { name: `site:${site}`, site, multiple: siteMultiple } };
}

export type FreeTier = Settings["freeTier"];

export function limitsOf(
  { requestsPerMinute, unitsPerDay, openRequests, refusalsPerMinute }: FreeTier,
  { multiple }: Ledger,
): FreeTier {
  return {
    requestsPerMinute: multiple * requestsPerMinute,
    unitsPerDay: multiple * unitsPerDay,
    openRequests: multiple * openRequests,
    refusalsPerMinute: multiple * refusalsPerMinute,
  };
}
