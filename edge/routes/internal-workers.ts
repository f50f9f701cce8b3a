/**
 * POST /internal/workers: a worker says, every few seconds and on each change, which models it has
 * (contract/models.ts).
 */
import { WorkerAnnouncement } from "#contract/models.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { decodeText, parseJson } from "../http/request-body.ts";
import { readSigned } from "../http/signature.ts";
import { validate } from "../http/validation.ts";

export async function announceWorker(c: EdgeContext): Promise<Response> {
  const { callbackSecrets } = settingsOf(c.env);
  const body = await readSigned(c.req.raw, callbackSecrets, Date.now() / 1_000);
  const announcement = validate(WorkerAnnouncement, parseJson(decodeText(body)));
  await c.env.REGISTRY.getByName("registry").announce(announcement);
  return c.json({});
}
