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
import { jobDocument } from "./job-document.ts";
import type { JobSpec } from "./job-spec.ts";
import { type Preference, parsePreference, preferenceApplied } from "./preference.ts";
import { queueText } from "./queue-text.ts";
import { randomHex } from "./random-hex.ts";
import { readOutput, readResult } from "./read-result.ts";
import { release } from "./settle.ts";
import type { RunOutcome, RunRequest, StoredResult, Ticket } from "./shard-protocol.ts";
import { shardStub } from "./shard-stub.ts";

/** How long a job lives on after a caller that sent `x-resumable: 1` has gone. */
const resumableGraceMs = 10_000;
const shardTriesMax = 3;

/** @returns null where the job has ended already: it was another request's, whose reservation may be closed */
export async function dispatch(c: EdgeContext, spec: JobSpec): Promise<Response | null> {
  const preference = parsePreference(c.req.header("prefer"));
  try {
    const outcome = await runWhileHeld(c, spec.shard, await prepare(c, spec, preference));
    return await answer(c, { spec, preference, outcome });
  } catch (error) {
    // Nobody is charged for what failed on our side; a job that was settled before, or that others wait for, stays as it is.
    await release(c.env, spec.tenant, spec.id);
    throw error;
  }
}

type Ended = { spec: JobSpec; preference: Preference; outcome: RunOutcome };

async function answer(
  c: EdgeContext,
  { spec, preference, outcome }: Ended,
): Promise<Response | null> {
  const settings = settingsOf(c.env);
  switch (outcome.kind) {
    case "succeeded":
      return succeeded(c, spec, outcome);
    case "failed":
      return failed(c, renderError(spec.rendering, outcome.error), { "x-job-id": outcome.jobId });
    case "waiting":
      return preferenceApplied(preference) === null
        ? outlasted(c, outcome.ticket, settings)
        : accepted(spec, outcome.ticket, { preference, settings });
    case "ended":
      return null;
    case "left":
      // The caller is gone; this is for the log alone.
      return new Response(null, { status: 499 });
  }
}

async function prepare(c: EdgeContext, spec: JobSpec, preference: Preference): Promise<RunRequest> {
  const settings = settingsOf(c.env);
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
async function runWhileHeld(
  c: EdgeContext,
  shard: number,
  request: RunRequest,
): Promise<RunOutcome> {
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
  spec: JobSpec,
  { jobId, result: stored }: { jobId: string; result: StoredResult },
): Promise<Response> {
  const result = await readResult(stored, settingsOf(c.env));
  const rendered = render(spec.rendering, result, spec.warnings);
  rememberAnswer(c, spec, { result, rendered });
  return new Response(rendered.body, { headers: { ...rendered.headers, "x-job-id": jobId } });
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

type Acceptance = { preference: Preference; settings: Settings };

async function accepted(
  spec: JobSpec,
  ticket: Ticket,
  { preference, settings }: Acceptance,
): Promise<Response> {
  const document = jobDocument(ticket, await readOutput(ticket, settings));
  const secret = spec.webhook?.secretGenerated === true ? spec.webhook.secret : null;
  const shown = secret === null ? null : JSON.stringify({ webhook_secret: secret });
  // The one time a generated secret is shown.
  const body = shown === null ? document : `${document.slice(0, -1)},${shown.slice(1)}`;
  return new Response(body, {
    status: 202,
    headers: {
      "content-type": "application/json; charset=utf-8",
      "preference-applied": preferenceApplied(preference) ?? "",
      ...whereToComeBack(ticket),
    },
  });
}
