/** GET /openapi.json: the description of this API, with the address it was asked at. */
import type { EdgeContext } from "../context.ts";
import { describeApi } from "./describe-api.ts";

export function getOpenApi(c: EdgeContext): Response {
  return c.json(describeApi(new URL(c.req.url).origin));
}
