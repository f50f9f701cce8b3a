/** Answers that show a stored result: by itself, as the synchronous call does, or as the output of its job. */
import { CodedError } from "#contract/errors.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import type { StoredResult } from "../storage/stored-result.ts";
import { emptyJob, jobFrame } from "./job-document.ts";
import type { Job } from "./job.ts";
import { type OpenResult, openResult } from "./read-result.ts";
import { answerHeaders } from "./render.ts";
import { resultFormOf } from "./surfaces.ts";

type View = Pick<Job, "rendering" | "warnings">;

const json = { "content-type": "application/json; charset=utf-8" };

/** @returns null where the result is gone from object storage @throws where that cannot be read */
export async function resultResponse(
  c: EdgeContext,
  stored: StoredResult,
  { rendering, warnings }: View,
): Promise<Response | null> {
  const open = await openResult(stored, settingsOf(c.env));
  if (open === null) return null;
  const { head } = open;
  const body = await bodyFor(c, open, () => open.body(resultFormOf(rendering, head)));
  return new Response(body, { headers: answerHeaders(head, warnings) });
}

export type JobAnswer = {
  status?: number;
  headers?: Record<string, string>;
  /** Fields of the Job object beside its own. */
  more?: object;
};

/** The Job object, with its output where it has one. @throws CodedError `not_found` where that is gone */
export async function jobResponse(
  c: EdgeContext,
  job: Job,
  { status = 200, headers = {}, more = {} }: JobAnswer = {},
): Promise<Response> {
  if (job.result === null) {
    return new Response(emptyJob(job, null, more), { status, headers: { ...json, ...headers } });
  }
  const open = await openResult(job.result, settingsOf(c.env));
  if (open === null) throw outputGone();
  const { head } = open;
  const body = await bodyFor(c, open, () => {
    const form = resultFormOf(job.rendering, head);
    const { before, after } = jobFrame(job, head.usage, more);
    return open.body({
      ...form,
      prefix: before + form.prefix,
      suffix: form.suffix + after,
    });
  });
  return new Response(body, {
    status,
    headers: { ...answerHeaders(head, job.warnings), ...headers },
  });
}

export function outputGone(): CodedError {
  return new CodedError(
    "not_found",
    "The output of this job is gone: outputs are kept for a day. Send the request again.",
    { param: "id" },
  );
}

/** HEAD is answered without the body: what was opened for it is closed. */
async function bodyFor(
  c: EdgeContext,
  open: OpenResult,
  body: () => ReturnType<OpenResult["body"]>,
) {
  if (c.req.method !== "HEAD") return body();
  await open.cancel();
  return null;
}
