/**
 * The way of every call that needs a model: cache, admission, dispatch. A call that is byte for byte one that was answered
 * here before is answered without being parsed again; the key holds the tenant, and the model must still vouch for the
 * digest. What a body means is the route's; how a job runs is jobs/.
 */
import type { JobResult } from "#contract/events.ts";
import { admitHit, admitJob, newPlace, refuseKnown } from "./accounts/admission.ts";
import { exactCallKey, findAnswer, findResult, keepAnswer } from "./cache.ts";
import type { EdgeContext } from "./context.ts";
import { settingsOf } from "./environment.ts";
import type { JobRequest } from "./job-request.ts";
import { dispatch, dispatchKnown } from "./jobs/dispatch.ts";
import type { JobSpec } from "./jobs/job-spec.ts";
import { parsePreference } from "./jobs/preference.ts";
import { release } from "./jobs/settle.ts";
import { freshModels, knownModels, usableModels } from "./registry/known-models.ts";
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
  /** The caller comes back for a job: a result from the cache makes one that is finished. */
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
  const asked = { request, requestKey, tenant, webhook };
  const known = await findInCache(c, asked);
  if (known !== null) {
    await admitHit(c);
    return answerKnown(c, use, asked, known);
  }
  c.set("cache", requestKey === null ? "bypass" : "miss");
  return compute(c, use, asked);
}

/** Has a request computed, unless it turns out to have been while it was admitted. */
async function compute(c: EdgeContext, use: CacheUse, asked: Asked): Promise<Response> {
  const { request, requestKey, tenant } = asked;
  const reservation = { requestKey, units: request.units };
  const place = await admitJob(c, reservation);
  const made = place.settledLately ? await findInCache(c, asked) : null;
  if (made === null) {
    return dispatch(c, specOf(asked, place), () => admitJob(c, reservation, true));
  }
  await release(c.env, tenant, place.id);
  return answerKnown(c, use, asked, made);
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
  if (!models.digestsOf(answer).includes(answer.modelDigest)) return null;
  await admitHit(c);
  c.set("cache", "hit");
  return answerWith(answer);
}

/** Looks under every digest the model's results may carry now; usually that is one. */
async function findInCache(
  c: EdgeContext,
  { request, requestKey }: Asked,
): Promise<JobResult | null> {
  if (requestKey === null) return null;
  for (const modelDigest of await digestsOf(c, request)) {
    const result = await findResult(c.env.CACHE, { requestKey, modelDigest });
    if (result !== null) return result;
  }
  return null;
}

/** A model of which no digest is known may have been loaded a moment ago, and answered by another isolate. */
async function digestsOf(c: EdgeContext, request: JobRequest): Promise<string[]> {
  const known = (await knownModels(c)).digestsOf(request);
  return known.length > 0 ? known : (await freshModels(c)).digestsOf(request);
}

async function answerKnown(
  c: EdgeContext,
  { respondAsync }: CacheUse,
  asked: Asked,
  result: JobResult,
): Promise<Response> {
  const { request, requestKey } = asked;
  c.set("cache", "hit");
  if (respondAsync) {
    // The caller comes back for a job: it gets one that is finished.
    const place = newPlace(requestKey, settingsOf(c.env).shards);
    return dispatchKnown(c, specOf(asked, place), result);
  }
  const rendered = render(request.rendering, result, request.warnings);
  const exact = c.get("exactCallKey");
  const { model, entityModel } = request;
  const answer = { ...rendered, model, entityModel, modelDigest: result.modelDigest };
  if (exact !== undefined) keepAnswer(exact, answer);
  return answerWith(rendered);
}

function answerWith(answer: Rendered): Response {
  return new Response(answer.body, { headers: answer.headers });
}

type Asked = Pick<JobSpec, "requestKey" | "tenant" | "webhook"> & { request: JobRequest };

function specOf(
  { request, requestKey, tenant, webhook }: Asked,
  { id, shard }: Pick<JobSpec, "id" | "shard">,
): JobSpec {
  const { task, model, entityModel, parameters, inputs, rendering, warnings } = request;
  return {
    id,
    shard,
    tenant,
    task,
    model,
    entityModel,
    parameters,
    inputs,
    requestKey,
    rendering,
    warnings,
    webhook,
  };
}
