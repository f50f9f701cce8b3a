/**
 * Takes a validated, admitted job to its shard and answers the call: with the result, with 202 and where to come back
 * (`Prefer`), or with 504 and where to come back. A caller that hangs up leaves, and the last to leave cancels.
 * Validation, admission and the cache look-up happen before; how a result looks is ../answers/surfaces.ts.
 */
import pRetry from "p-retry";
import type { PublicError } from "#contract/errors.ts";
import { formatJobId } from "#contract/job-id.ts";
import { digestsIn } from "#contract/models.ts";
import type { JobAddress } from "../accounts/admission.ts";
import { keepAnswer } from "../answers/answer-cache.ts";
import { errorResponse } from "../answers/error-response.ts";
import type { Job } from "../answers/job.ts";
import { render, type RenderedResult, warningsHeader } from "../answers/render.ts";
import { jobResponse, resultResponse } from "../answers/show-result.ts";
import { renderError, unfinishedBody } from "../answers/surfaces.ts";
import type { EdgeContext } from "../context.ts";
import { type Settings, settingsOf } from "../environment.ts";
import { type Preference, parsePreference, preferenceApplied } from "../http/preference.ts";
import { randomHex } from "../http/random-hex.ts";
import { learnDigests } from "../registry/known-models.ts";
import { learnOwnDigests } from "../registry/own-models.ts";
import { keepResult } from "../storage/result-cache.ts";
import type { StoredResult } from "../storage/stored-result.ts";
import type { JobSpec, Kept } from "./job-spec.ts";
import { queueText, queueTextFor } from "./queue-text.ts";
import type { AbandonRequest, JobHead, RunOutcome, RunRequest } from "./shard-protocol.ts";
import { shardStub } from "./shard-stub.ts";
import { graceOf, streamRun } from "./stream-call.ts";

const shardTriesMax = 3;
const abandonTries = { retries: 3, minTimeout: 200, factor: 4 };

/** A job as its shard takes it. What it computes on is in the message, and nowhere else any more. */
export type PreparedJob = Pick<JobSpec, "shard" | "entityModel" | "stream"> & {
  request: RunRequest;
  kept: Kept | null;
  /** Names the call, whether it waits or not. */
  waiter: string;
};

/** Call it while the inputs are at hand; the waiting is `dispatch`'s, and holds nothing large. */
export async function prepareJob(c: EdgeContext, spec: JobSpec): Promise<PreparedJob> {
  const { id, tenant, shard, entityModel, stream, kept = null } = spec;
  const waiter = randomHex();
  try {
    return { shard, entityModel, stream, kept, request: await requestOf(c, spec, waiter), waiter };
  } catch (error) {
    abandon(c, shard, { id, tenant, waiter });
    throw error;
  }
}

/** @param readmit gives the job another reservation, and so another id, where its own was closed before it got here */
export async function dispatch(
  c: EdgeContext,
  job: PreparedJob,
  readmit: () => Promise<JobAddress>,
): Promise<Response> {
  let admitted = job;
  try {
    let outcome = await runKept(c, job);
    if ("kind" in outcome && outcome.kind === "closed") {
      admitted = readdressed(job, await readmit());
      outcome = await runKept(c, admitted);
    }
    if (!(outcome instanceof Response)) await note(admitted, outcome);
    return await answer(c, admitted, outcome);
  } catch (error) {
    const { id, tenant } = admitted.request.job;
    abandon(c, admitted.shard, { id, tenant, waiter: job.waiter });
    if (hasRecord(job)) c.executionCtx.waitUntil(job.kept.forget());
    throw error;
  }
}

/**
 * Where its caller is told of it before its end, its record is there before anybody computes it: it is found whatever
 * becomes of this call.
 */
async function runKept(c: EdgeContext, job: PreparedJob): Promise<RunOutcome | Response> {
  const { keptId } = job.request.job;
  if (hasRecord(job) && keptId !== undefined) await job.kept.begin(keptId);
  return runWhileHeld(c, job);
}

/** From the start. A call that waits for the end is told of nothing before. */
function hasRecord(job: PreparedJob): job is PreparedJob & { kept: Kept } {
  return job.kept !== null && job.request.keep !== "if-it-outlasts";
}

async function note(job: PreparedJob, outcome: RunOutcome): Promise<void> {
  if (hasRecord(job)) return outcome.kind === "failed" ? job.kept.forget() : undefined;
  if (outcome.kind === "succeeded") await job.kept?.know(outcome.result);
  if (outcome.kind === "waiting") await job.kept?.begin(outcome.job.id);
}

/** Nobody is charged for what failed on our side. The shard decides, since identical calls share a reservation. */
function abandon(c: EdgeContext, shard: number, request: AbandonRequest): void {
  const { id } = request;
  const abandoning = pRetry(() => shardStub(c.env, shard).abandon(request), abandonTries).catch(
    (error: unknown) =>
      // The reservation lapses by itself.
      console.error(JSON.stringify({ event: "job.not_abandoned", id, reason: String(error) })),
  );
  c.executionCtx.waitUntil(abandoning);
}

/** Answers a call whose result is known: its caller comes back for a job, which is finished from the start. */
export async function dispatchKnown(
  c: EdgeContext,
  spec: JobSpec,
  result: StoredResult,
): Promise<Response> {
  const settings = settingsOf(c.env);
  const job = headOf(spec, Date.now());
  const { webhook, entityModel } = spec;
  const kept = await shardStub(c.env, spec.shard).keep({ job, webhook, result });
  if (secondsHeld(preferenceOf(c), settings.syncWindowSeconds) > 0) {
    return succeeded(c, { ...job, entityModel }, { jobId: kept.id, result });
  }
  return accepted(c, { webhook }, kept);
}

async function answer(
  c: EdgeContext,
  { request, entityModel, kept }: PreparedJob,
  outcome: RunOutcome | Response,
): Promise<Response> {
  const { job } = request;
  if (outcome instanceof Response) return outcome;
  switch (outcome.kind) {
    case "succeeded":
      return succeeded(c, { ...job, entityModel }, outcome);
    case "failed":
      return failed(c, renderError(job.rendering, outcome.error), { "x-job-id": outcome.jobId });
    case "waiting":
      if (kept?.background === true && !preferenceOf(c).respondAsync) return begun(outcome.job);
      return preferenceApplied(preferenceOf(c)) === null
        ? outlasted(c, outcome.job, settingsOf(c.env))
        : accepted(c, request, outcome.job);
    case "left":
      // The caller is gone; this is for the log alone.
      return new Response(null, { status: 499 });
    case "closed":
      throw new Error(`the new job ${job.id} was taken for one that has ended`);
  }
}

function preferenceOf(c: EdgeContext): Preference {
  return parsePreference(c.req.header("prefer"));
}

async function requestOf(c: EdgeContext, spec: JobSpec, waiter: string): Promise<RunRequest> {
  const settings = settingsOf(c.env);
  const preference = preferenceOf(c);
  const createdAt = Date.now();
  const graceMilliseconds = graceOf(c);
  const background = spec.kept?.background === true;
  const milliseconds = background ? 0 : 1_000 * secondsHeld(preference, settings.syncWindowSeconds);
  return {
    job: headOf(spec, createdAt),
    ...(await queueText(spec, settings, createdAt)),
    keep: keepOf(spec, preference),
    wait: milliseconds === 0 && !spec.stream ? null : { waiter, milliseconds, graceMilliseconds },
    webhook: spec.webhook,
  };
}

function keepOf({ kept, stream }: JobSpec, { respondAsync }: Preference): RunRequest["keep"] {
  if (respondAsync || kept?.background === true) return "from-start";
  return kept !== undefined && stream ? "while-held" : "if-it-outlasts";
}

/**
 * The same job under another id: its message is not formed again, and inputs in object storage stay under the name they
 * were given.
 */
function readdressed(job: PreparedJob, to: JobAddress): PreparedJob {
  const { request, shard } = job;
  const from = { id: request.job.id, shard };
  const { id } = to;
  return {
    ...job,
    shard: to.shard,
    request: {
      ...request,
      job: { ...request.job, id, ...keptAs(job.kept, to.shard) },
      ...queueTextFor(request, from, to),
    },
  };
}

function headOf(spec: JobSpec, createdAt: number): JobHead {
  const { id, tenant, task, model, requestKey, rendering, warnings, kept = null } = spec;
  const head = { id, tenant, task, model, requestKey, createdAt, rendering, warnings };
  return { ...head, ...keptAs(kept, spec.shard) };
}

/** The id of the job names the shard that has it. */
function keptAs(kept: Kept | null, shard: number): Pick<JobHead, "keptId"> {
  return kept === null ? {} : { keptId: formatJobId(shard, kept.hex) };
}

function secondsHeld({ respondAsync, waitSeconds }: Preference, windowSeconds: number): number {
  return Math.min(waitSeconds ?? (respondAsync ? 0 : windowSeconds), windowSeconds);
}

/** Runs the job, and leaves it when the caller hangs up. */
async function runWhileHeld(
  c: EdgeContext,
  { shard, request, stream }: PreparedJob,
): Promise<RunOutcome | Response> {
  const { signal } = c.req.raw;
  const { wait } = request;
  if (wait === null)
    return runOnce<RunOutcome>(c, shard, async () => shardStub(c.env, shard).run(request));
  const { waiter } = wait;
  const streamed = { ...request, wait };
  const hangUp = () => c.executionCtx.waitUntil(shardStub(c.env, shard).leave(waiter));
  signal.addEventListener("abort", hangUp);
  try {
    return await runOnce<RunOutcome | Response>(c, shard, async () =>
      stream ? streamRun(c, shard, streamed) : shardStub(c.env, shard).run(request),
    );
  } finally {
    signal.removeEventListener("abort", hangUp);
  }
}

/**
 * Asks again where the shard was struck down, moved or updated under the call: the job's id makes it the same job.
 * Errors of such a kind carry no mark that can be relied on, and the shard raises none of its own.
 */
async function runOnce<T>(c: EdgeContext, shard: number, run: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await run();
    } catch (error) {
      if (tries === shardTriesMax || c.req.raw.signal.aborted) throw error;
      console.warn(JSON.stringify({ event: "shard.run_failed", shard, reason: String(error) }));
    }
  }
}

async function succeeded(
  c: EdgeContext,
  job: JobHead & Pick<JobSpec, "entityModel">,
  { jobId, result: stored }: { jobId: string; result: StoredResult },
): Promise<Response> {
  const { rendering, warnings } = job;
  if (stored.kind === "inline") {
    const rendered = render(rendering, stored.document, warnings);
    remember(c, job, { document: stored.document, rendered });
    return new Response(rendered.body, { headers: { ...rendered.headers, "x-job-id": jobId } });
  }
  const response = await resultResponse(c, stored, job);
  if (response === null) throw new Error(`the result of ${jobId} is gone before it was read`);
  response.headers.set("x-job-id", jobId);
  return response;
}

/** In this isolate, where the next such call looks first. Without a request key a call leaves no trace. */
function remember(
  c: EdgeContext,
  job: Pick<JobSpec, "requestKey" | "tenant" | "model" | "entityModel">,
  { document, rendered }: { document: string; rendered: RenderedResult },
): void {
  const { requestKey, tenant, model, entityModel } = job;
  if (requestKey === null) return;
  const { modelDigest } = rendered.head;
  const models = entityModel === null ? [model] : [model, entityModel];
  const carried = digestsIn(modelDigest, models);
  learnDigests(c, carried);
  learnOwnDigests(c, tenant, carried);
  keepResult(c.env, { requestKey, modelDigest }, document);
  keepAnswer(c, job, rendered);
}

function failed(c: EdgeContext, error: PublicError, headers: Record<string, string>): Response {
  c.set("failure", error);
  return errorResponse(error, c.req.path, headers);
}

/** The answer to a call that does not wait: what there is of it so far, in its own words. */
function begun({ id, rendering, warnings, status, error }: Job): Response {
  const warning = warningsHeader(warnings);
  return Response.json(unfinishedBody(rendering, { status, error }), {
    headers: { "x-job-id": id, ...(warning === null ? {} : { "x-warnings": warning }) },
  });
}

function whereToComeBack(job: Job): Record<string, string> {
  return { location: `/v1/jobs/${job.id}`, "x-job-id": job.id };
}

function outlasted(c: EdgeContext, job: Job, { syncWindowSeconds }: Settings): Response {
  const message =
    `The job is not finished after ${syncWindowSeconds} s and goes on. Send the same request again to wait for it, ` +
    `or ask for it at /v1/jobs/${job.id}.`;
  return failed(c, { code: "sync_timeout", message, param: null }, whereToComeBack(job));
}

function accepted(
  c: EdgeContext,
  { webhook }: Pick<RunRequest, "webhook">,
  job: Job,
): Promise<Response> {
  return jobResponse(c, job, {
    status: 202,
    headers: whereToComeBack(job),
    // The one time a generated secret is shown.
    more: webhook?.secretGenerated === true ? { webhook_secret: webhook.secret } : {},
  });
}
