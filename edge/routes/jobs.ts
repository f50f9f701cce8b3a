/**
 * GET /v1/jobs/{id}, and POST /v1/jobs/{id}/cancel or DELETE /v1/jobs/{id}: what became of a job, for its owner alone.
 * Anybody else is told that there is no such job.
 */
import { CodedError } from "#contract/errors.ts";
import { JobId, shardOfJobId } from "#contract/job-id.ts";
import type { Job } from "../answers/job.ts";
import { jobResponse } from "../answers/show-result.ts";
import type { EdgeContext } from "../context.ts";
import { shardStub } from "../jobs/shard-stub.ts";

export function jobNotFound(): CodedError {
  return new CodedError("not_found", "No such job. Jobs are kept for a day, for their owner.", {
    param: "id",
  });
}

export function shardOf(c: EdgeContext, id: JobId) {
  return shardStub(c.env, shardOfJobId(id) ?? 0);
}

/** The id in the address. @throws CodedError `not_found` where it is none */
export function jobIdOf(c: EdgeContext): JobId {
  const id = JobId.safeParse(c.req.param("id"));
  if (!id.success) throw jobNotFound();
  return id.data;
}

async function answer(c: EdgeContext, job: Job | null): Promise<Response> {
  if (job === null) throw jobNotFound();
  return jobResponse(c, job, { headers: { "x-job-id": job.id } });
}

export async function getJob(c: EdgeContext): Promise<Response> {
  const id = jobIdOf(c);
  return answer(c, await shardOf(c, id).find(id, c.get("caller").tenant));
}

export async function cancelJob(c: EdgeContext): Promise<Response> {
  const id = jobIdOf(c);
  return answer(c, await shardOf(c, id).cancel(id, c.get("caller").tenant));
}
