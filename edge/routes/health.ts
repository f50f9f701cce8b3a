/** GET /healthz: the edge answers. Whether workers run is what /v1/models says. */
import type { EdgeContext } from "../context.ts";

export function getHealth(c: EdgeContext): Response {
  return c.json({ status: "ok" });
}
