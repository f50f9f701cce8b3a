/** Lets pages of any origin call the API, and read the headers that their clients act on. No cookies are involved. */
import type { MiddlewareHandler } from "hono";
import type { EdgeEnv } from "../context.ts";
import { headerNames } from "./response-headers.ts";

const exposedHeaders = headerNames.join(", ");

export const cors: MiddlewareHandler<EdgeEnv> = async (c, next) => {
  if (c.req.method === "OPTIONS" && c.req.header("access-control-request-method") !== undefined) {
    return preflight(c.req.header("access-control-request-headers"));
  }
  await next();
  c.res.headers.set("access-control-allow-origin", "*");
  c.res.headers.set("access-control-expose-headers", exposedHeaders);
  return undefined;
};

/** Names the headers asked for one by one: `*` does not cover Authorization. */
function preflight(requestedHeaders: string | undefined): Response {
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-origin": "*",
      "access-control-allow-methods": "GET, HEAD, POST, DELETE, OPTIONS",
      "access-control-allow-headers": requestedHeaders ?? "authorization, content-type",
      "access-control-max-age": "86400",
      vary: "access-control-request-headers",
    },
  });
}
