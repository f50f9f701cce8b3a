/**
 * Around every call of the API: counts those that are refused or only ask (accounts/floods.ts), and reads to its end
 * what a refused caller is still sending, so that a client which writes before it reads gets its answer.
 */
import type { MiddlewareHandler } from "hono";
import type { EdgeEnv } from "../context.ts";
import { discardBody } from "../http/request-body.ts";
import { noteRefusal } from "./floods.ts";

export const refusals: MiddlewareHandler<EdgeEnv> = async (c, next) => {
  await next();
  const { status } = c.res;
  const refused = status >= 400 && status <= 499;
  if (refused) await discardBody(c.req.raw);
  // What runs a job is counted among the requests; what is over a limit has cost nothing.
  const asks = c.req.method !== "POST" || /^\/v1\/(jobs|responses)\//.test(c.req.path);
  // A failure of ours (5xx) is not counted against the caller, who may not even be identified yet.
  if ((refused || (asks && status < 500)) && status !== 429) noteRefusal(c);
};
