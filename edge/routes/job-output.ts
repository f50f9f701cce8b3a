/**
 * GET /v1/jobs/{id}/output?expires=…&signature=…: the output of a job by the link that a webhook carried, exactly the
 * body of the synchronous call. The link is the permission; no key is looked at.
 */
import { checkOutputLink } from "../answers/output-link.ts";
import { outputGone, resultResponse } from "../answers/show-result.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { jobIdOf, jobNotFound, shardOf } from "./jobs.ts";

export async function getJobOutput(c: EdgeContext): Promise<Response> {
  const id = jobIdOf(c);
  const query = { expires: c.req.query("expires"), signature: c.req.query("signature") };
  await checkOutputLink(id, query, settingsOf(c.env).callbackSecrets, Date.now() / 1_000);
  const job = await shardOf(c, id).findLinked(id);
  if (job?.result == null) throw jobNotFound();
  const response = await resultResponse(c, job.result, job);
  if (response === null) throw outputGone();
  response.headers.set("x-job-id", id);
  return response;
}
