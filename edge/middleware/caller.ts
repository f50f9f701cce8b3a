/** Finds out who is calling before anything is done for them; see accounts/identify-caller.ts. */
import type { MiddlewareHandler } from "hono";
import { identifyCaller } from "../accounts/identify-caller.ts";
import type { EdgeEnv } from "../context.ts";
import { settingsOf } from "../environment.ts";

export const caller: MiddlewareHandler<EdgeEnv> = async (c, next) => {
  const credentials = {
    authorization: c.req.header("authorization"),
    address: c.req.header("cf-connecting-ip"),
  };
  c.set("caller", identifyCaller(credentials, settingsOf(c.env)));
  await next();
};
