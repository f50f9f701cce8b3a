/**
 * What travels with a request through Hono: the bindings, and what middleware and routes have found out about the call.
 * Durable Objects do not see it; they take plain arguments.
 */
import type { Context } from "hono";
import type { PublicError } from "#contract/errors.ts";
import type { QuotaDecision } from "./accounts/quota-ledger.ts";
import type { Env } from "./environment.ts";
import type { JobShard } from "./jobs/job-shard.ts";

export type Caller = {
  /** Scope of cache, quota and jobs: "operator", "local", or "ip:" and the address (IPv6 by /64). */
  tenant: string;
  /** Holds the operator key: no limits, and the tasks of the operator. */
  operator: boolean;
};

export type CacheOutcome = "hit" | "miss" | "bypass";

export type EdgeEnv = {
  Bindings: Env & { readonly SHARD: DurableObjectNamespace<JobShard> };
  Variables: {
    requestId: string;
    caller: Caller;
    /** Undefined until a route asked the quota; then the source of the rate-limit headers, on errors too. */
    quota: QuotaDecision | undefined;
    /** Of a call refused before the quota was asked, when another can be let through. */
    retryAfterMs: number | undefined;
    /** What the call was answered with instead, and the private reason of it. */
    failure: (Pick<PublicError, "code" | "message"> & { cause?: unknown }) | undefined;
    /** Undefined: a route that has no cache. */
    cache: CacheOutcome | undefined;
    /** Where the in-isolate layer keeps the answer to exactly this call; undefined: nowhere. */
    exactCallKey: string | undefined;
  };
};

export type EdgeContext = Context<EdgeEnv>;
