/**
 * Finds out who is calling before anything is done for them (accounts/identify-caller.ts), and turns away who called
 * too often. A key that is not known counts against the network it came from.
 */
import type { MiddlewareHandler } from "hono";
import type { EdgeEnv } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { refuseFlood } from "./floods.ts";
import { anonymousCaller, holdsOperatorKey, identifyCaller } from "./identify-caller.ts";

export const caller: MiddlewareHandler<EdgeEnv> = async (c, next) => {
  const credentials = {
    authorization: c.req.header("authorization"),
    address: c.req.header("cf-connecting-ip"),
  };
  const settings = settingsOf(c.env);
  if (!holdsOperatorKey(credentials, settings)) {
    c.set("caller", anonymousCaller(credentials, settings));
    refuseFlood(c);
  }
  c.set("caller", identifyCaller(credentials, settings));
  await next();
};
