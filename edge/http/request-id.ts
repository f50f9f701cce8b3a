/** Gives every call an id, shown to the caller as `x-request-id` and written beside what is logged of it. */
import type { MiddlewareHandler } from "hono";
import type { EdgeEnv } from "../context.ts";

export const requestId: MiddlewareHandler<EdgeEnv> = async (c, next) => {
  const id = `req_${crypto.randomUUID().replaceAll("-", "")}`;
  c.set("requestId", id);
  await next();
  c.res.headers.set("x-request-id", id);
};
