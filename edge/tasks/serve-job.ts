/**
 * The way of every call that needs a model: cache, admission, dispatch. A call that is byte for byte one that was
 * answered here before is answered without being parsed again; the key holds the tenant, and the model must still vouch
 * for the digest. What a body means is the route's; how a job runs is jobs/.
 */
import {
  admitHit,
  admitJob,
  type JobAddress,
  newJobAddress,
  refuseKnown,
} from "../accounts/admission.ts";
import { release } from "../accounts/settle.ts";
import { exactCallKey, findAnswer, keepAnswer } from "../answers/answer-cache.ts";
import { type Rendered, render } from "../answers/render.ts";
import { resultResponse } from "../answers/show-result.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { BodyPermit } from "../http/body-permit.ts";
import { readDecodedBody } from "../http/content-encoding.ts";
import { freeBytes } from "../http/free-bytes.ts";
import { parsePreference, preferenceApplied } from "../http/preference.ts";
import { decodeText, parseJson } from "../http/request-body.ts";
import { dispatch, dispatchKnown, type PreparedJob, prepareJob } from "../jobs/dispatch.ts";
import { streamKnown } from "../jobs/stream-call.ts";
import type { JobSpec } from "../jobs/job-spec.ts";
import { digestsNow, freshDigests } from "../registry/known-models.ts";
import { findResult } from "../storage/result-cache.ts";
import type { StoredResult } from "../storage/stored-result.ts";
import { readWebhook } from "../webhooks/read-webhook.ts";
import type { JobRequest } from "./job-request.ts";
import { requestKeyOf } from "./request-key.ts";
import { tokenIdsHeader } from "./token-ids.ts";

/** A response in place of a job needs no model. @throws CodedError where the body is no such job */
export type ReadJob = (c: EdgeContext, body: unknown) => Promise<JobRequest | Response>;

/** How this call stands to the cache. */
type CacheUse = {
  /** `cache-control: no-store`: neither looked up, nor stored, nor joined with another. */
  noStore: boolean;
  /** The caller comes back for a job: a result from the cache makes one that is finished. */
  respondAsync: boolean;
  repeats: boolean;
};

/** What of a call is left once its inputs are on their way. */
type Step = { answer: Response } | { job: PreparedJob; readmit: () => Promise<JobAddress> };

/** @param repeats the same bytes may be given the same answer, its id included */
export async function serveJob(c: EdgeContext, read: ReadJob, repeats = true): Promise<Response> {
  const permit = new BodyPermit(c.req.raw);
  try {
    const use = { ...cacheUseOf(c), repeats };
    c.set("bodyPermit", permit);
    const step = await readAndPrepare(c, read, use, permit);
    // From here on nothing large is held: a call may wait for minutes.
    permit.release();
    return withPreference(c, await answerOf(c, step));
  } finally {
    permit.release();
  }
}

/** As `serveJob`, of a call whose body is read already, and small. */
export async function serveRequest(c: EdgeContext, request: JobRequest): Promise<Response> {
  refuseKnown(c);
  const use = { ...cacheUseOf(c), repeats: true };
  const step = await prepareCall(c, use, formed(request));
  return withPreference(c, await answerOf(c, step));
}

function answerOf(c: EdgeContext, step: Step): Response | Promise<Response> {
  return "answer" in step ? step.answer : dispatch(c, step.job, step.readmit);
}

/** Says of an answer which preferences it honours; one that failed honours none. */
function withPreference(c: EdgeContext, answer: Response): Response {
  const applied = preferenceApplied(parsePreference(c.req.header("prefer")));
  if (applied !== null && answer.ok) answer.headers.set("preference-applied", applied);
  return answer;
}

async function readAndPrepare(
  c: EdgeContext,
  read: ReadJob,
  use: CacheUse,
  permit: BodyPermit,
): Promise<Step> {
  refuseKnown(c);
  const given = await readCall(c, use, permit);
  if ("answer" in given) return given;
  c.set("rolloutBy", given.body);
  const request = await read(c, given.body);
  c.set("rolloutBy", undefined);
  if (request instanceof Response) return { answer: request };
  return prepareCall(c, use, formed(request));
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
  permit: BodyPermit,
): Promise<{ answer: Response } | { body: unknown }> {
  const { bodyBytesMax } = settingsOf(c.env);
  const bytes = await readDecodedBody(c.req.raw, bodyBytesMax, permit);
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
  const asked = { request, requestKey, tenant, webhook };
  const known = await answerFromCache(c, use, asked, () => admitHit(c));
  if (known !== null) return { answer: known };
  c.set("cache", requestKey === null ? "bypass" : "miss");
  return prepareComputation(c, use, asked);
}

/** Has a request computed, unless it turns out to have been while it was admitted. */
async function prepareComputation(c: EdgeContext, use: CacheUse, asked: Asked): Promise<Step> {
  const { request, requestKey, tenant } = asked;
  const reservation = { requestKey, units: request.units };
  const admitted = await admitJob(c, reservation);
  const giveBack = () => release(c.env, tenant, admitted.id);
  const made = admitted.settledLately ? await answerFromCache(c, use, asked, giveBack) : null;
  if (made !== null) return { answer: made };
  const job = await prepareJob(c, specOf(asked, admitted));
  return { job, readmit: () => admitJob(c, reservation, true) };
}

function cacheUseOf(c: EdgeContext): Omit<CacheUse, "repeats"> {
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
  if (use.noStore || use.respondAsync || !use.repeats) return null;
  const url = c.req.url;
  const key = exactCallKey({
    tenant: c.get("caller").tenant,
    pathAndQuery: url.slice(url.indexOf("/", 8)),
    tokenIds: c.req.header(tokenIdsHeader) ?? null,
    body: text,
  });
  if (key === undefined) return null;
  c.set("exactCallKey", key);
  const answer = findAnswer(c, key);
  if (answer === undefined) return null;
  if (!(await digestsNow(c, answer)).includes(answer.modelDigest)) return null;
  await admitHit(c);
  c.set("cache", "hit");
  return answerWith(answer);
}

/**
 * Looks under every digest the model's results may carry now; usually that is one.
 * @param account for an answer that is found
 */
async function answerFromCache(
  c: EdgeContext,
  use: CacheUse,
  asked: Asked,
  account: () => Promise<void>,
): Promise<Response | null> {
  const { request, requestKey } = asked;
  if (requestKey === null) return null;
  const address = newJobAddress(requestKey, settingsOf(c.env).shards);
  for (const modelDigest of await digestsOf(c, request)) {
    const found = await findResult(c.env, { requestKey, modelDigest });
    const answer = found === null ? null : await showFound(c, asked, found);
    if (found === null || answer === null) continue;
    await accounted(answer, account);
    await request.kept?.know(found);
    c.set("cache", "hit");
    if (!use.respondAsync && !request.stream) return answer;
    await answer.body?.cancel();
    const spec = specOf(asked, address);
    // A caller that comes back for a job gets one that is finished.
    return request.stream
      ? streamKnown(c, spec, found, use.respondAsync)
      : dispatchKnown(c, spec, found);
  }
  return null;
}

/** A model of which no digest is known may have been loaded a moment ago, and answered by another isolate. */
async function digestsOf(c: EdgeContext, request: FormedRequest): Promise<string[]> {
  const known = await digestsNow(c, request);
  return known.length > 0 ? known : freshDigests(c, request);
}

/** @returns null where the result is not to be had: it is computed again */
async function showFound(
  c: EdgeContext,
  { request }: Asked,
  found: StoredResult,
): Promise<Response | null> {
  if (found.kind === "inline") {
    const rendered = render(request.rendering, found.document, request.warnings);
    // A stream is told anew each time.
    if (!request.stream) keepAnswer(c, request, rendered);
    return answerWith(rendered);
  }
  try {
    return await resultResponse(c, found, request);
  } catch (error) {
    console.warn(JSON.stringify({ event: "cache.unreadable", reason: String(error) }));
    return null;
  }
}

async function accounted(answer: Response, account: () => Promise<void>): Promise<void> {
  try {
    await account();
  } catch (error) {
    await answer.body?.cancel();
    throw error;
  }
}

function answerWith(answer: Rendered): Response {
  return new Response(answer.body, { headers: answer.headers });
}

type Asked = Pick<JobSpec, "requestKey" | "tenant" | "webhook"> & { request: FormedRequest };

function specOf(
  { request, requestKey, tenant, webhook }: Asked,
  { id, shard }: Pick<JobSpec, "id" | "shard">,
): JobSpec {
  const { task, model, entityModel, parameters, inputs, rendering, warnings, stream } = request;
  const { tuned, kept } = request;
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
    stream,
    webhook,
    ...(tuned !== undefined && { tuned }),
    ...(kept !== undefined && { kept }),
  };
}
