/**
 * GET /v1/jobs/{id}/events: what happens to a job, as server-sent events from the first, or from the one after
 * `Last-Event-ID`. `start`: a worker has begun; `progress`: how far it is; `output`: a piece of a text, or a whole
 * output; then `completed` or `error`. The id of any stream (`x-job-id`) will do, and the numbers of its events are the
 * same here. Events are kept for ten minutes after the end, and told again from the result for as long as that is kept.
 */
import type { EdgeContext } from "../context.ts";
import { lastEventId } from "../http/last-event-id.ts";
import { graceOf, streamJob } from "../jobs/stream-call.ts";
import { jobIdOf, jobNotFound } from "./jobs.ts";

export async function readEvents(c: EdgeContext): Promise<Response> {
  const id = jobIdOf(c);
  const { tenant } = c.get("caller");
  const read = {
    id,
    tenant,
    graceMilliseconds: graceOf(c),
    after: lastEventId(c.req.header("last-event-id")),
  };
  const stream = await streamJob(c, read);
  if (stream === null) throw jobNotFound();
  // HEAD is answered without the body: nobody reads it.
  if (c.req.method === "HEAD") await stream.body?.cancel();
  return stream;
}
