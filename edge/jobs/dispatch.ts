/**
 * Takes a validated, admitted job to its shard and answers the call: with the result, with 202 and where to come back
 * (`Prefer`), or with 504 and where to come back. A caller that hangs up leaves, and the last to leave cancels.
 * Validation, admission and the cache look-up happen before; how a result looks is ../rendering.ts.
 */
import type { PublicError } from "#contract/errors.ts";
import type { EdgeContext } from "../context.ts";
import { type Settings, settingsOf } from "../environment.ts";
import { errorResponse, shapeOfPath } from "../errors.ts";
import { rememberAnswer } from "../remember-answer.ts";
import { renderError } from "../render-error.ts";
import { render } from "../rendering.ts";
import type { JobSpec } from "./job-spec.ts";
import { type Preference, parsePreference, preferenceApplied } from "./preference.ts";
import { queueText } from "./queue-text.ts";
import { randomHex } from "./random-hex.ts";
import { readInline } from "./read-result.ts";
import { settle } from "./settle.ts";
import type { JobHead, RunOutcome, RunRequest, StoredResult, Ticket } from "./shard-protocol.ts";
import { shardStub } from "./shard-stub.ts";
import { jobResponse, resultResponse } from "./show-result.ts";

/** How long a job lives on after a caller that sent `x-resumable: 1` has gone. */
const resumableGraceMs = 10_000;
const shardTriesMax = 3;

/** A job as its shard takes it. What it computes on is in the message, and nowhere else any more. */
export type PreparedJob = { shard: number; request: RunRequest };

/** Call it while the inputs are at hand; the waiting is `dispatch`'s, and holds nothing large. */
export async function prepareJob(c: EdgeContext, spec: JobSpec): Promise<PreparedJob> {
  return unlessItFails(c, spec, async () => ({
    shard: spec.shard,
    request: await requestOf(c, spec),
  }));
}

export async function dispatch(c: EdgeContext, job: PreparedJob): Promise<Response> {
  return unlessItFails(c, job.request.job, async () => answer(c, job, await runWhileHeld(c, job)));
}

/** Nobody is charged for what failed on our side; a job that was settled before stays as it is. */
async function unlessItFails<T>(
  c: EdgeContext,
  { tenant, id }: Pick<JobHead, "tenant" | "id">,
  step: () => Promise<T>,
): Promise<T> {
  try {
    return await step();
  } catch (error) {
    await settle(c.env, tenant, id, 0);
    throw error;
  }
}

async function answer(
  c: EdgeContext,
  { request }: PreparedJob,
  outcome: RunOutcome,
): Promise<Response> {
  const { job } = request;
  switch (outcome.kind) {
    case "succeeded":
      return succeeded(c, job, outcome);
    case "failed":
      return failed(c, renderError(job.rendering, outcome.error), { "x-job-id": outcome.jobId });
    case "waiting":
      return preferenceApplied(preferenceOf(c)) === null
        ? outlasted(c, outcome.ticket, settingsOf(c.env))
        : accepted(c, request, outcome.ticket);
    case "left":
      // The caller is gone; this is for the log alone.
      return new Response(null, { status: 499 });
  }
}

function preferenceOf(c: EdgeContext): Preference {
  return parsePreference(c.req.header("prefer"));
}

async function requestOf(c: EdgeContext, spec: JobSpec): Promise<RunRequest> {
  const settings = settingsOf(c.env);
  const preference = preferenceOf(c);
  const createdAt = Date.now();
  const { id, tenant, task, model, requestKey, rendering, warnings, webhook } = spec;
  const job = { id, tenant, task, model, requestKey, createdAt, rendering, warnings };
  const graceMilliseconds = c.req.header("x-resumable") === "1" ? resumableGraceMs : 0;
  const milliseconds = 1_000 * secondsHeld(preference, settings.syncWindowSeconds);
  return {
    job,
    ...(await queueText(spec, settings, createdAt)),
    keep: preference.respondAsync ? "from-start" : "if-it-outlasts",
    wait: milliseconds === 0 ? null : { waiter: randomHex(), milliseconds, graceMilliseconds },
    webhook,
  };
}

function secondsHeld({ respondAsync, waitSeconds }: Preference, windowSeconds: number): number {
  return Math.min(waitSeconds ?? (respondAsync ? 0 : windowSeconds), windowSeconds);
}

/** Runs the job, and leaves it when the caller hangs up. */
async function runWhileHeld(c: EdgeContext, { shard, request }: PreparedJob): Promise<RunOutcome> {
  const { signal } = c.req.raw;
  const waiter = request.wait?.waiter;
  if (waiter === undefined) return runOnce(c, shard, request);
  const hangUp = () => c.executionCtx.waitUntil(shardStub(c.env, shard).leave(waiter));
  signal.addEventListener("abort", hangUp);
  try {
    return await runOnce(c, shard, request);
  } finally {
    signal.removeEventListener("abort", hangUp);
  }
}

/**
 * Asks again where the shard was struck down, moved or updated under the call: the job's id makes it the same job. Errors
 * of such a kind carry no mark that can be relied on, and the shard raises none of its own.
 */
async function runOnce(c: EdgeContext, shard: number, request: RunRequest): Promise<RunOutcome> {
  for (let tries = 1; ; tries++) {
    try {
      return await shardStub(c.env, shard).run(request);
    } catch (error) {
      if (tries === shardTriesMax || c.req.raw.signal.aborted) throw error;
      console.warn(JSON.stringify({ event: "shard.run_failed", shard, reason: String(error) }));
    }
  }
}

async function succeeded(
  c: EdgeContext,
  job: JobHead,
  { jobId, result: stored }: { jobId: string; result: StoredResult },
): Promise<Response> {
  const { rendering, warnings } = job;
  if (stored.kind === "inline") {
    const result = readInline(stored.json);
    const rendered = render(rendering, result, warnings);
    rememberAnswer(c, job, { result, rendered });
    return new Response(rendered.body, { headers: { ...rendered.headers, "x-job-id": jobId } });
  }
  const response = await resultResponse(c, stored, job);
  if (response === null) throw new Error(`the result of ${jobId} is gone before it was read`);
  response.headers.set("x-job-id", jobId);
  return response;
}

function failed(c: EdgeContext, error: PublicError, headers: Record<string, string>): Response {
  return errorResponse(error, shapeOfPath(c.req.path), headers);
}

function whereToComeBack(ticket: Ticket): Record<string, string> {
  return { location: `/v1/jobs/${ticket.id}`, "x-job-id": ticket.id };
}

function outlasted(c: EdgeContext, ticket: Ticket, { syncWindowSeconds }: Settings): Response {
  const message =
    `The job is not finished after ${syncWindowSeconds} s and goes on. Send the same request again to wait for it, ` +
    `or ask for it at /v1/jobs/${ticket.id}.`;
  return failed(c, { code: "sync_timeout", message, param: null }, whereToComeBack(ticket));
}

function accepted(c: EdgeContext, { webhook }: RunRequest, ticket: Ticket): Promise<Response> {
  return jobResponse(c, ticket, {
    status: 202,
    headers: {
      "preference-applied": preferenceApplied(preferenceOf(c)) ?? "",
      ...whereToComeBack(ticket),
    },
    // The one time a generated secret is shown.
    more: webhook?.secretGenerated === true ? { webhook_secret: webhook.secret } : {},
  });
}
