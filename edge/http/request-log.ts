/**
 * A JSON line in the log for each request that failed, and for a share of those that succeeded (`LOG_SUCCESS_SHARE`).
 * Refusals cost their sender nothing and may come in floods: of each code an isolate writes some lines a minute, and
 * counts the others. Of a failure of ours the line has the cause; nothing that a caller sent is in the others.
 */
import type { MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import type { EdgeContext, EdgeEnv } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { LineAllowance } from "./line-allowance.ts";

const refusals = new LineAllowance();

export const requestLog: MiddlewareHandler<EdgeEnv> = async (c, next) => {
  const startedAtMs = Date.now();
  await next();
  const nowMs = Date.now();
  const { status } = c.res;
  const tell = (event: string, more: object) =>
    JSON.stringify({ event, ...lineOf(c, nowMs), ms: nowMs - startedAtMs, ...more });
  if (status >= 500) {
    console.error(tell("request.failed", reasonOf(c)));
  } else if (status >= 400) {
    const untold = refusals.take(codeOf(c) ?? String(status), nowMs);
    if (untold !== null) console.warn(tell("request.refused", { untold }));
  } else if (isSample(c)) {
    console.log(tell("request.succeeded", {}));
  }
};

function lineOf(c: EdgeContext, nowMs: number) {
  return {
    time: new Date(nowMs).toISOString(),
    requestId: c.get("requestId"),
    method: c.req.method,
    route: routeOf(c),
    status: c.res.status,
    code: codeOf(c),
  };
}

function codeOf(c: EdgeContext): string | null {
  return c.get("failure")?.code ?? null;
}

/** As in the table of routes, `/v1/jobs/:id`; null where there is none. */
function routeOf(c: EdgeContext): string | null {
  const route = matchedRoutes(c).findLast(({ path }) => !path.endsWith("*"));
  return route?.path.replaceAll(/\{[^}]*\}/g, "") ?? null;
}

function reasonOf(c: EdgeContext) {
  const { message = null, cause = null } = c.get("failure") ?? {};
  return { message, cause: cause instanceof Error ? (cause.stack ?? cause.message) : null };
}

function isSample(c: EdgeContext): boolean {
  // The id is random.
  const draw = Number.parseInt(c.get("requestId").slice(-8), 16) / 2 ** 32;
  return draw < settingsOf(c.env).logSuccessShare;
}
