/** Says on every answer, errors included, what the quota stands at and whether the cache had a part in it. */
import type { MiddlewareHandler } from "hono";
import type { EdgeEnv } from "../context.ts";
import { rateLimitHeaders, seconds } from "./rate-limit-headers.ts";

export const outcomeHeaders: MiddlewareHandler<EdgeEnv> = async (c, next) => {
  await next();
  const { headers } = c.res;
  const cache = c.get("cache");
  if (cache !== undefined) headers.set("x-cache", cache);
  const limited = c.res.status === 429;
  const retryAfterMs = c.get("retryAfterMs");
  if (retryAfterMs !== undefined) headers.set("retry-after", String(seconds(retryAfterMs)));
  const quota = c.get("quota");
  if (quota === undefined) return;
  for (const [name, value] of Object.entries(rateLimitHeaders(quota, limited))) {
    headers.set(name, value);
  }
};
