/**
 * GET /v1/jobs/{id} and POST /v1/jobs/{id}/cancel: what became of a job, for its owner alone. Anybody else is told that
 * there is no such job.
 */
import { CodedError } from "#contract/errors.ts";
import { JobId, shardOfJobId } from "#contract/job-id.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { jobDocument } from "../jobs/job-document.ts";
import { readOutput } from "../jobs/read-result.ts";
import type { Ticket } from "../jobs/shard-protocol.ts";
import { shardStub } from "../jobs/shard-stub.ts";

function notFound(): CodedError {
  return new CodedError("not_found", "No such job. Jobs are kept for a day, for their owner.", {
    param: "id",
  });
}

function shardOf(c: EdgeContext, id: JobId) {
  return shardStub(c.env, shardOfJobId(id) ?? 0);
}

function idOf(c: EdgeContext): JobId {
  const id = JobId.safeParse(c.req.param("id"));
  if (!id.success) throw notFound();
  return id.data;
}

async function answer(c: EdgeContext, ticket: Ticket | null): Promise<Response> {
  if (ticket === null) throw notFound();
  const output = await readOutput(ticket, settingsOf(c.env));
  return new Response(jobDocument(ticket, output), {
    headers: {
      "content-type": "application/json; charset=utf-8",
      ...output?.headers,
      "x-job-id": ticket.id,
    },
  });
}

export async function getJob(c: EdgeContext): Promise<Response> {
  const id = idOf(c);
  return answer(c, await shardOf(c, id).find(id, c.get("caller").tenant));
}

export async function cancelJob(c: EdgeContext): Promise<Response> {
  const id = idOf(c);
  return answer(c, await shardOf(c, id).cancel(id, c.get("caller").tenant));
}
