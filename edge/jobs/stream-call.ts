/**
 * A call that is answered by a stream, from its shard to its caller. The shard writes the events; here bytes pass
 * untouched, and where they break off, the caller is told so: a stream that merely closes would read as success.
 */
import { CodedError, type PublicError } from "#contract/errors.ts";
import { shardOfJobId } from "#contract/job-id.ts";
import { warningsHeader } from "../answers/render.ts";
import type { Rendering } from "../answers/rendering.ts";
import { StreamRenderer } from "../answers/stream-surfaces.ts";
import { toldAtOnce } from "../answers/told-pieces.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { randomHex } from "../http/random-hex.ts";
import type { StoredResult } from "../storage/stored-result.ts";
import { streamHeaders } from "./answer-stream.ts";
import { endedLog } from "./event-log.ts";
import { EventStream } from "./event-stream.ts";
import type { JobSpec } from "./job-spec.ts";
import type { ReadRequest, RunOutcome, StreamCall, StreamRequest } from "./shard-protocol.ts";
import { shardStub } from "./shard-stub.ts";

/** How long a job lives on after a caller that sent `x-resumable: 1` has gone. */
const resumableGraceMs = 10_000;

export function graceOf(c: EdgeContext): number {
  return c.req.header("x-resumable") === "1" ? resumableGraceMs : 0;
}

/** @returns the stream, or what the call came to before anything was told */
export async function streamRun(
  c: EdgeContext,
  shard: number,
  run: StreamRequest,
): Promise<Response | RunOutcome> {
  const answer = await askShard(c, shard, { run });
  if (!isStream(answer)) return answer.json<RunOutcome>();
  const { rendering, warnings } = run.job;
  const passing = { shard, waiter: run.wait.waiter, view: rendering, ofJob: false };
  return withWarnings(passed(c, answer, passing), warnings);
}

/**
 * @param view of the call that the job was kept for, whose words it is told in; absent: as a job
 * @returns null where the tenant has no such job @throws CodedError where too many read it already
 */
export async function streamJob(
  c: EdgeContext,
  request: Omit<ReadRequest, "waiter" | "asCalled">,
  view?: Rendering,
): Promise<Response | null> {
  const shard = shardOfJobId(request.id) ?? 0;
  const waiter = randomHex();
  const ofJob = view === undefined;
  const read = { ...request, waiter, ...(ofJob ? {} : { asCalled: true as const }) };
  const answer = await askShard(c, shard, { read });
  if (!isStream(answer)) {
    const refused = await answer.json<RunOutcome | null>();
    if (refused?.kind !== "failed") return null;
    throw new CodedError(refused.error.code, refused.error.message);
  }
  return passed(c, answer, { shard, waiter, view: view ?? { route: "tasks" }, ofJob });
}

/** Tells a result that was there already. @param keep also as a job, for a caller that comes back for it */
export async function streamKnown(
  c: EdgeContext,
  spec: JobSpec,
  result: StoredResult,
  keep: boolean,
): Promise<Response> {
  const { id, tenant, task, model, requestKey, rendering, warnings, webhook, shard } = spec;
  const createdAt = Date.now();
  const job = { id, tenant, task, model, requestKey, rendering, warnings, createdAt };
  const kept = keep ? await shardStub(c.env, shard).keep({ job, webhook, result }) : null;
  const jobId = kept?.id ?? id;
  const { readable } = new EventStream({
    log: endedLog({ status: "succeeded", result }, toldAtOnce),
    renderer: new StreamRenderer({ jobId, createdAt, rendering }),
    after: 0,
    whereResult: "",
    settings: settingsOf(c.env),
    waiting: () => null,
    onGone: () => {},
  });
  return withWarnings(
    new Response(readable, { headers: streamHeaders(kept?.id ?? null) }),
    warnings,
  );
}

function askShard(c: EdgeContext, shard: number, call: StreamCall): Promise<Response> {
  return shardStub(c.env, shard).fetch("https://shard/", {
    method: "POST",
    body: JSON.stringify(call),
  });
}

function isStream(answer: Response): boolean {
  return answer.headers.get("content-type")?.startsWith("text/event-stream") === true;
}

/** Those of the request; what of the result is to be said comes too late for a header. */
function withWarnings(answer: Response, warnings: readonly string[]): Response {
  const header = warningsHeader(warnings);
  if (header !== null) answer.headers.set("x-warnings", header);
  return answer;
}

type Passing = { shard: number; waiter: string; view: Rendering; ofJob: boolean };

function passed(c: EdgeContext, { body, headers }: Response, passing: Passing): Response {
  if (body === null) throw new Error("a stream without a body");
  const { readable, writable } = new IdentityTransformStream();
  const jobId = headers.get("x-job-id") ?? "";
  const renderer = new StreamRenderer(
    { jobId, createdAt: 0, rendering: passing.view },
    passing.ofJob,
  );
  const broken = renderer.show({ kind: "error", error: brokeOff }, null);
  const { signal } = c.req.raw;
  const hangUp = () =>
    c.executionCtx.waitUntil(shardStub(c.env, passing.shard).leave(passing.waiter));
  signal.addEventListener("abort", hangUp);
  const piping = pipe(body, writable, broken).finally(() =>
    signal.removeEventListener("abort", hangUp),
  );
  c.executionCtx.waitUntil(piping);
  return new Response(readable, { headers: new Headers(headers) });
}

/** @param broken what is written where the shard goes away in the middle */
async function pipe(body: ReadableStream, to: WritableStream, broken: string): Promise<void> {
  try {
    await body.pipeTo(to, { preventAbort: true, preventClose: true });
    await to.close();
  } catch {
    const writer = to.getWriter();
    try {
      await writer.write(new TextEncoder().encode(broken));
      await writer.close();
    } catch {
      // The caller has left.
    }
  }
}

const brokeOff: PublicError = {
  code: "internal_error",
  message:
    "The stream broke off on our side. Go on with it at GET /v1/jobs/{id}/events, with the id of x-job-id, or send " +
    "the request again.",
  param: null,
};
