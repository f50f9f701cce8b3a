/**
 * The way of every call that needs a model: cache, admission, dispatch. A call that is byte for byte one that was answered
 * here before is answered without being parsed again; the key holds the tenant, and the model must still vouch for the
 * digest. What a body means is the route's; how a job runs is jobs/.
 */
import { CodedError } from "#contract/errors.ts";
import { admitHit, admitJob, refuseKnown } from "./accounts/admission.ts";
import { exactCallKey, findAnswer, findResult, keepAnswer } from "./cache.ts";
import type { EdgeContext } from "./context.ts";
import { settingsOf } from "./environment.ts";
import type { JobRequest } from "./job-request.ts";
import { dispatch } from "./jobs/dispatch.ts";
import type { JobSpec } from "./jobs/job-spec.ts";
import { parsePreference } from "./jobs/preference.ts";
import { release } from "./jobs/settle.ts";
import { knownModels, usableModels } from "./registry/known-models.ts";
import { type Rendered, render } from "./rendering.ts";
import { decodeText, parseJson, readBody } from "./request-body.ts";
import { requestKeyOf } from "./request-key.ts";
import { readWebhook } from "./webhooks/read-webhook.ts";

/** @throws CodedError where the body is no such job */
export type ReadJob = (c: EdgeContext, body: unknown) => Promise<JobRequest>;

/** How this call stands to the cache. */
type CacheUse = {
  /** `cache-control: no-store`: neither looked up, nor stored, nor joined with another. */
  noStore: boolean;
  /** The caller comes back for a job, and gets one: an answer from the cache is none. */
  respondAsync: boolean;
};

export async function serveJob(c: EdgeContext, read: ReadJob): Promise<Response> {
  refuseKnown(c);
  const settings = settingsOf(c.env);
  const use = cacheUseOf(c);
  const text = decodeText(await readBody(c.req.raw, settings.bodyBytesMax));
  const exact = await answerExactCall(c, use, text);
  if (exact !== null) return exact;

  const request = await read(c, parseJson(text));
  const webhook = readWebhook(request.webhook, {
    respondAsync: use.respondAsync,
    allowed: settings.webhookAllow,
    fillRandom: (bytes) => crypto.getRandomValues(bytes),
  });
  const { tenant } = c.get("caller");
  const keyed = request.cacheable && !use.noStore;
  const requestKey = keyed ? await requestKeyOf({ tenant, ...request }) : null;
  const known = use.respondAsync ? null : await findInCache(c, request, requestKey);
  if (known !== null) return hit(c, known);

  c.set("cache", requestKey === null || use.respondAsync ? "bypass" : "miss");
  return run(c, { request, requestKey, tenant, webhook }, use);
}

/** Has a request computed, unless it turns out to have been while it was admitted. */
async function run(c: EdgeContext, job: Asked, { respondAsync }: CacheUse): Promise<Response> {
  const { request, requestKey, tenant } = job;
  const asked = { requestKey, units: request.units };
  const madeMeanwhile = async () =>
    respondAsync ? null : await findInCache(c, request, requestKey);
  const place = await admitJob(c, asked);
  const found = place.settledLately ? await madeMeanwhile() : null;
  if (found !== null) {
    await release(c.env, tenant, place.id);
    return answerFound(c, found);
  }
  const answer = await dispatch(c, specOf(job, place));
  if (answer !== null) return answer;
  const made = await madeMeanwhile();
  if (made !== null) return answerFound(c, made);
  // A fresh job has ended nowhere.
  const again = await dispatch(c, specOf(job, await admitJob(c, asked, true)));
  if (again !== null) return again;
  throw new CodedError("internal_error", "The job could not be started. Send the request again.");
}

function cacheUseOf(c: EdgeContext): CacheUse {
  const directives = c.req.header("cache-control");
  return {
    noStore: directives !== undefined && /(^|[\s,])no-store($|[\s,;])/i.test(directives),
    respondAsync: parsePreference(c.req.header("prefer")).respondAsync,
  };
}

async function answerExactCall(
  c: EdgeContext,
  use: CacheUse,
  text: string,
): Promise<Response | null> {
  if (use.noStore || use.respondAsync) return null;
  const url = c.req.url;
  const key = exactCallKey(c.get("caller").tenant, url.slice(url.indexOf("/", 8)), text);
  if (key === undefined) return null;
  c.set("exactCallKey", key);
  const answer = findAnswer(key);
  if (answer === undefined) return null;
  const models = usableModels(c) ?? (await knownModels(c));
  if (!models.vouchesFor(answer.model, answer.modelDigest)) return null;
  return hit(c, answer);
}

/** Looks under every digest the model's results may carry now; usually that is one. */
async function findInCache(
  c: EdgeContext,
  request: JobRequest,
  requestKey: string | null,
): Promise<Rendered | null> {
  if (requestKey === null) return null;
  const digests = (await knownModels(c)).find(request.model)?.digests ?? [];
  for (const modelDigest of digests) {
    const result = await findResult(c.env.CACHE, { requestKey, modelDigest });
    if (result === null) continue;
    const rendered = render(request.rendering, result, request.warnings);
    const exact = c.get("exactCallKey");
    const answer = { ...rendered, model: request.model, modelDigest };
    if (exact !== undefined) keepAnswer(exact, answer);
    return rendered;
  }
  return null;
}

async function hit(c: EdgeContext, answer: Rendered): Promise<Response> {
  await admitHit(c);
  return answerFound(c, answer);
}

function answerFound(c: EdgeContext, answer: Rendered): Response {
  c.set("cache", "hit");
  return new Response(answer.body, { headers: answer.headers });
}

type Asked = Pick<JobSpec, "requestKey" | "tenant" | "webhook"> & { request: JobRequest };

function specOf(
  { request, requestKey, tenant, webhook }: Asked,
  { id, shard }: Pick<JobSpec, "id" | "shard">,
): JobSpec {
  const { task, model, parameters, inputs, rendering, warnings } = request;
  return {
    id,
    shard,
    tenant,
    task,
    model,
    parameters,
    inputs,
    requestKey,
    rendering,
    warnings,
    webhook,
  };
}
