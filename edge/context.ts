/**
 * What travels with a request through Hono: the bindings, and what middleware and routes have found out about the call.
 * Durable Objects do not see it; they take plain arguments.
 */
import type { Context } from "hono";
import type { PublicError } from "#contract/errors.ts";
import type { Env } from "./environment.ts";

export type Caller = {
  /** Scope of cache, quota and jobs: "operator", "local", or "ip:" and the address (IPv6 by /64). */
  tenant: string;
  /** Holds the operator key: no limits, and the tasks of the operator. */
  operator: boolean;
};

export type CacheOutcome = "hit" | "miss" | "bypass";

/**
 * A room that finds out something of its own declares it here, by adding to this interface: see accounts/admission.ts.
 */
export interface Variables {
  requestId: string;
  caller: Caller;
  /** What the call was answered with instead, and the private reason of it. */
  failure: (Pick<PublicError, "code" | "message"> & { cause?: unknown }) | undefined;
  /** Undefined: a route that has no cache. */
  cache: CacheOutcome | undefined;
  /** Where the in-isolate layer keeps the answer to exactly this call; undefined: nowhere. */
  exactCallKey: string | undefined;
}

export type EdgeEnv = { Bindings: Env; Variables: Variables };

export type EdgeContext = Context<EdgeEnv>;
