/**
 * The way of every call that needs a model: cache, admission, dispatch. A call that is byte for byte one that was answered
 * here before is answered without being parsed again; the key holds the tenant, and the model must still vouch for the
 * digest. What a body means is the route's; how a job runs is jobs/.
 */
import { admitHit, admitJob } from "./accounts/admission.ts";
import { BodyPlace } from "./body-place.ts";
import { exactCallKey, type Found, findAnswer, findResult, keepAnswer } from "./cache.ts";
import type { EdgeContext } from "./context.ts";
import { settingsOf } from "./environment.ts";
import { freeBytes } from "./free-bytes.ts";
import type { JobRequest } from "./job-request.ts";
import { dispatch, type PreparedJob, prepareJob } from "./jobs/dispatch.ts";
import type { JobSpec } from "./jobs/job-spec.ts";
import { parsePreference } from "./jobs/preference.ts";
import { resultResponse } from "./jobs/show-result.ts";
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

/** What of a call is left once its inputs are on their way. */
type Step = { answer: Response } | { job: PreparedJob };

export async function serveJob(c: EdgeContext, read: ReadJob): Promise<Response> {
  const place = new BodyPlace(c.req.raw);
  try {
    const step = await readAndPrepare(c, read, place);
    // From here on nothing large is held: a call may wait for minutes.
    place.leave();
    return await ("answer" in step ? step.answer : dispatch(c, step.job));
  } finally {
    place.leave();
  }
}

async function readAndPrepare(c: EdgeContext, read: ReadJob, place: BodyPlace): Promise<Step> {
  const use = cacheUseOf(c);
  const given = await readCall(c, use, place);
  return "answer" in given ? given : prepareCall(c, use, formed(await read(c, given.body)));
}

/** A job whose inputs are JSON text: what was parsed is let go. */
type FormedRequest = Omit<JobRequest, "inputs"> & { inputs: string };

function formed(request: JobRequest): FormedRequest {
  return { ...request, inputs: JSON.stringify(request.inputs) };
}

/** The text ends here: what was parsed has strings of its own. */
async function readCall(
  c: EdgeContext,
  use: CacheUse,
  place: BodyPlace,
): Promise<{ answer: Response } | { body: unknown }> {
  const { bodyBytesMax } = settingsOf(c.env);
  const bytes = await readBody(c.req.raw, bodyBytesMax, place);
  const text = decodeText(bytes);
  freeBytes(bytes);
  const answer = await answerExactCall(c, use, text);
  return answer === null ? { body: parseJson(text) } : { answer };
}

async function prepareCall(c: EdgeContext, use: CacheUse, request: FormedRequest): Promise<Step> {
  const webhook = readWebhook(request.webhook, {
    respondAsync: use.respondAsync,
    allowed: settingsOf(c.env).webhookAllow,
    origin: new URL(c.req.url).origin,
    fillRandom: (bytes) => crypto.getRandomValues(bytes),
  });
  const { tenant } = c.get("caller");
  const keyed = request.cacheable && !use.noStore;
  const requestKey = keyed ? await requestKeyOf({ tenant, ...request }) : null;
  const known = use.respondAsync ? null : await answerFromCache(c, request, requestKey);
  if (known !== null) return { answer: known };

  c.set("cache", requestKey === null || use.respondAsync ? "bypass" : "miss");
  const place = await admitJob(c, { requestKey, units: request.units });
  return { job: await prepareJob(c, specOf({ request, requestKey, tenant, webhook }, place)) };
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
async function answerFromCache(
  c: EdgeContext,
  request: FormedRequest,
  requestKey: string | null,
): Promise<Response | null> {
  if (requestKey === null) return null;
  const digests = (await knownModels(c)).find(request.model)?.digests ?? [];
  for (const modelDigest of digests) {
    const found = await findResult(c.env.CACHE, { requestKey, modelDigest });
    if (found === null) continue;
    if (found.kind === "reference") {
      const streamed = await showFound(c, found, request);
      if (streamed !== null) return counted(c, streamed);
      continue;
    }
    const rendered = render(request.rendering, found.result, request.warnings);
    const exact = c.get("exactCallKey");
    const answer = { ...rendered, model: request.model, modelDigest };
    if (exact !== undefined) keepAnswer(exact, answer);
    return hit(c, rendered);
  }
  return null;
}

/** @returns null where the result is not to be had: it is computed again */
async function showFound(
  c: EdgeContext,
  found: Extract<Found, { kind: "reference" }>,
  request: FormedRequest,
): Promise<Response | null> {
  try {
    return await resultResponse(c, found, request);
  } catch (error) {
    console.warn(JSON.stringify({ event: "cache.unreadable", reason: String(error) }));
    return null;
  }
}

async function hit(c: EdgeContext, answer: Rendered): Promise<Response> {
  return counted(c, new Response(answer.body, { headers: answer.headers }));
}

async function counted(c: EdgeContext, answer: Response): Promise<Response> {
  try {
    await admitHit(c);
  } catch (error) {
    await answer.body?.cancel();
    throw error;
  }
  c.set("cache", "hit");
  return answer;
}

type Admitted = Pick<JobSpec, "requestKey" | "tenant" | "webhook"> & { request: FormedRequest };

function specOf(
  { request, requestKey, tenant, webhook }: Admitted,
  place: Pick<JobSpec, "id" | "shard">,
): JobSpec {
  const { task, model, parameters, inputs, rendering, warnings } = request;
  return {
    ...place,
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
