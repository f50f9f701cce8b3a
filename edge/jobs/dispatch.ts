/**
 * Takes a validated, admitted job to its shard and answers the call: with the result, with 202 and where to come back
 * (`Prefer`), or with 504 and where to come back. A caller that hangs up leaves, and the last to leave cancels.
 * Validation, admission and the cache look-up happen before; how a result looks is ../rendering.ts.
 */
import type { PublicError } from "#contract/errors.ts";
import type { JobResult } from "#contract/events.ts";
import pRetry from "p-retry";
import type { Place } from "../accounts/admission.ts";
import type { EdgeContext } from "../context.ts";
import { type Settings, settingsOf } from "../environment.ts";
import { errorResponse, shapeOfPath } from "../errors.ts";
import { rememberAnswer } from "../remember-answer.ts";
import { renderError } from "../render-error.ts";
import { render } from "../rendering.ts";
import { jobDocument } from "./job-document.ts";
import type { JobSpec } from "./job-spec.ts";
import { type Preference, parsePreference, preferenceApplied } from "./preference.ts";
import { queueText, queueTextFor } from "./queue-text.ts";
import { randomHex } from "./random-hex.ts";
import { readOutput, readResult } from "./read-result.ts";
import type { JobHead, RunOutcome, RunRequest, StoredResult, Ticket } from "./shard-protocol.ts";
import { shardStub } from "./shard-stub.ts";
import { storable } from "./store-result.ts";

/** How long a job lives on after a caller that sent `x-resumable: 1` has gone. */
const resumableGraceMs = 10_000;
const shardTriesMax = 3;
const abandonTries = { retries: 3, minTimeout: 200, factor: 4 };

/** @param readmit gives the job another reservation, and so another id, where its own was closed before it got here */
export async function dispatch(
  c: EdgeContext,
  spec: JobSpec,
  readmit: () => Promise<Place>,
): Promise<Response> {
  const preference = parsePreference(c.req.header("prefer"));
  const waiter = randomHex();
  let admitted = spec;
  try {
    const request = await prepare(c, spec, { preference, waiter });
    let outcome = await runWhileHeld(c, spec.shard, request);
    if (outcome.kind === "closed") {
      admitted = { ...spec, ...(await readmit()) };
      outcome = await runWhileHeld(c, admitted.shard, readdressed(request, spec, admitted));
    }
    return await answer(c, { spec: admitted, preference, outcome });
  } catch (error) {
    abandon(c, admitted, waiter);
    throw error;
  }
}

/** Nobody is charged for what failed on our side. The shard decides, since identical calls share a reservation. */
function abandon(c: EdgeContext, { id, tenant, shard }: JobSpec, waiter: string): void {
  const abandoning = pRetry(
    () => shardStub(c.env, shard).abandon({ id, tenant, waiter }),
    abandonTries,
  ).catch((error: unknown) =>
    // The reservation lapses by itself.
    console.error(JSON.stringify({ event: "job.not_abandoned", id, reason: String(error) })),
  );
  c.executionCtx.waitUntil(abandoning);
}

/** Answers a call whose result is known: its caller comes back for a job, which is finished from the start. */
export async function dispatchKnown(
  c: EdgeContext,
  spec: JobSpec,
  known: JobResult,
): Promise<Response> {
  const settings = settingsOf(c.env);
  const preference = parsePreference(c.req.header("prefer"));
  const result = await storable({ jobId: spec.id, result: known }, settings);
  const job = headOf(spec, Date.now());
  const ticket = await shardStub(c.env, spec.shard).keep({ job, webhook: spec.webhook, result });
  if (secondsHeld(preference, settings.syncWindowSeconds) > 0) {
    return succeeded(c, spec, { jobId: ticket.id, result });
  }
  return accepted(spec, ticket, { preference, settings });
}

type Ended = { spec: JobSpec; preference: Preference; outcome: RunOutcome };

async function answer(c: EdgeContext, { spec, preference, outcome }: Ended): Promise<Response> {
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
    case "left":
      // The caller is gone; this is for the log alone.
      return new Response(null, { status: 499 });
    case "closed":
      throw new Error(`the new job ${spec.id} was taken for one that has ended`);
  }
}

type Held = { preference: Preference; waiter: string };

async function prepare(
  c: EdgeContext,
  spec: JobSpec,
  { preference, waiter }: Held,
): Promise<RunRequest> {
  const settings = settingsOf(c.env);
  const createdAt = Date.now();
  const graceMilliseconds = c.req.header("x-resumable") === "1" ? resumableGraceMs : 0;
  const milliseconds = 1_000 * secondsHeld(preference, settings.syncWindowSeconds);
  return {
    job: headOf(spec, createdAt),
    ...(await queueText(spec, settings, createdAt)),
    keep: preference.respondAsync ? "from-start" : "if-it-outlasts",
    wait: milliseconds === 0 ? null : { waiter, milliseconds, graceMilliseconds },
    webhook: spec.webhook,
  };
}

/** The same under another id; inputs in object storage stay under the name they were given. */
function readdressed(request: RunRequest, from: Place, to: Place): RunRequest {
  return {
    ...request,
    job: { ...request.job, id: to.id },
    ...queueTextFor(request, from, to),
  };
}

function headOf(spec: JobSpec, createdAt: number): JobHead {
  const { id, tenant, task, model, requestKey, rendering, warnings } = spec;
  return { id, tenant, task, model, requestKey, createdAt, rendering, warnings };
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
