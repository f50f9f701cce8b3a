/** GET /: the welcome page, with the models as they stand now and samples for the address it was asked at. */
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { welcomePage } from "../portal/welcome-page.ts";
import { welcomePolicy } from "../portal/welcome-policy.ts";
import { knownModels } from "../registry/known-models.ts";

export async function showWelcome(c: EdgeContext): Promise<Response> {
  const { list } = await knownModels(c);
  const { freeTier, localStack } = settingsOf(c.env);
  const page = welcomePage({ url: new URL(c.req.url).origin, models: list, freeTier, localStack });
  return c.html(page, 200, {
    "cache-control": "no-cache",
    "content-security-policy": await welcomePolicy(),
  });
}
