/**
 * GET /openapi.json: the description of this API, with the address it was asked at. As gzip where the caller takes
 * it, a tenth of its size: a local stack has nothing in front that compresses.
 */
import type { EdgeContext } from "../context.ts";
import { describeApi } from "./describe-api.ts";

export function getOpenApi(c: EdgeContext): Response {
  return c.json(describeApi(new URL(c.req.url).origin), 200, {
    vary: "accept-encoding",
    // The runtime encodes a body as its header says.
    ...(takesGzip(c.req.header("accept-encoding") ?? "") ? { "content-encoding": "gzip" } : {}),
  });
}

/** @param header the value of `Accept-Encoding`: codings, each with a weight, of which 0 refuses it (RFC 9110) */
function takesGzip(header: string): boolean {
  return header.split(",").some((coding) => {
    const [name = "", weight = "q=1"] = coding.split(";").map((part) => part.trim().toLowerCase());
    return name === "gzip" && Number(weight.replace(/^q=/, "")) > 0;
  });
}
