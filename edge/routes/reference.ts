/** GET /docs: the API's reference page. GET /docs/scalar.js: what it is drawn by, as the package has it. */
import type { EdgeContext } from "../context.ts";
import { referenceCsp, referencePage } from "../portal/reference-page.ts";

export function showReference(c: EdgeContext): Response {
  return c.body(referencePage, 200, {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-cache",
    "content-security-policy": referenceCsp,
  });
}

/** Asked for again by its ETag, so that an upgrade shows at once. */
export async function getReferenceScript(c: EdgeContext): Promise<Response> {
  const known = c.req.header("if-none-match");
  const headers = known === undefined ? {} : { "if-none-match": known };
  const asset = await c.env.ASSETS.fetch(new URL("/standalone.js", c.req.url), { headers });
  // A copy, since its headers are still added to.
  return new Response(asset.body, asset);
}
