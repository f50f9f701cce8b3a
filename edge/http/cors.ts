/**
 * Lets pages of any origin call the API, and read the headers that their clients act on. No cookies are involved.
 * Preflights are Hono's; the two headers of an answer are set here, because its middleware sets them before the answer
 * exists, for which Hono copies each Response (20 µs a call instead of 10).
 */
import type { MiddlewareHandler } from "hono";
import { cors as honoCors } from "hono/cors";
import type { EdgeEnv } from "../context.ts";
import { headerNames } from "./response-headers.ts";

const exposedHeaders = headerNames.join(", ");
const preflight = honoCors({
  allowMethods: ["GET", "HEAD", "POST", "DELETE", "OPTIONS"],
  maxAge: 86_400,
});

export const cors: MiddlewareHandler<EdgeEnv> = async (c, next) => {
  const asks = c.req.header("access-control-request-method") !== undefined;
  if (c.req.method === "OPTIONS" && asks) return preflight(c, next);
  await next();
  c.res.headers.set("access-control-allow-origin", "*");
  c.res.headers.set("access-control-expose-headers", exposedHeaders);
  return undefined;
};
