/**
 * What happened to a fine-tuning job, as OpenAI words it: GET its events, as a list or as they come (`stream=true`, or
 * `Accept: text/event-stream`), and its checkpoints.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import type { EdgeContext } from "../context.ts";
import {
  numberOfEvent,
  stepOfCheckpoint,
  TuningCheckpointObject,
  TuningEventObject,
} from "../fine-tuning/tuning-events.ts";
import { lastEventId } from "../http/last-event-id.ts";
import { validate } from "../http/validation.ts";
import { streamHeaders } from "../jobs/answer-stream.ts";
import { findTuningJob, tuningPageMax } from "./fine-tuning.ts";

export const TuningEventList = z.object({
  object: z.literal("list").describe("What this is."),
  data: z.array(TuningEventObject).describe("The events, the newest first."),
  has_more: z.boolean().describe("Whether there are more."),
});

export const TuningCheckpointList = z.object({
  object: z.literal("list").describe("What this is."),
  data: z.array(TuningCheckpointObject).describe("The checkpoints, the last step first."),
  first_id: z.string().nullable().describe("Of the first of them."),
  last_id: z.string().nullable().describe("Of the last: `after` of the next page."),
  has_more: z.boolean().describe("Whether there are more."),
});

const limit = z.coerce.number().int().min(1).max(tuningPageMax);
const EventsQuery = z.strictObject({
  limit: limit.default(20),
  after: z.string().optional(),
  stream: z.enum(["true", "false"]).optional(),
});
const CheckpointsQuery = z.strictObject({
  limit: limit.default(10),
  after: z.string().optional(),
});

export async function listTuningEvents(c: EdgeContext): Promise<Response> {
  const { job, tuning } = await findTuningJob(c);
  const { limit: count, after, stream } = validate(EventsQuery, c.req.query());
  const asksStream = c.req.header("accept")?.includes("text/event-stream") === true;
  const before = after === undefined ? null : numberOfEvent(job.id, after);
  if (after !== undefined && before === null) throw unknownAfter("event");
  if (stream === "true" || (asksStream && stream === undefined)) return tail(c, job.id, tuning);
  const events = await tuning.events(job.id, count, before);
  return c.json({
    object: "list",
    data: events.slice(0, count),
    has_more: events.length > count,
  } satisfies z.infer<typeof TuningEventList>);
}

async function tail(
  c: EdgeContext,
  id: string,
  tuning: Awaited<ReturnType<typeof findTuningJob>>["tuning"],
): Promise<Response> {
  const after = lastEventId(c.req.header("last-event-id"));
  const body = JSON.stringify({ id, after });
  const { body: events } = await tuning.fetch("https://tuning/events", { method: "POST", body });
  // HEAD is answered without the body: nobody reads it.
  if (c.req.method === "HEAD") await events?.cancel();
  return new Response(events, { headers: streamHeaders(null) });
}

export async function listTuningCheckpoints(c: EdgeContext): Promise<Response> {
  const { job, tuning } = await findTuningJob(c);
  const { limit: count, after } = validate(CheckpointsQuery, c.req.query());
  const before = after === undefined ? null : stepOfCheckpoint(job.id, after);
  if (after !== undefined && before === null) throw unknownAfter("checkpoint");
  const found = await tuning.checkpoints(job.id, count, before);
  const data = found.slice(0, count);
  return c.json({
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: found.length > count,
  } satisfies z.infer<typeof TuningCheckpointList>);
}

function unknownAfter(what: string): CodedError {
  return new CodedError("not_found", `after names no ${what} of this job. Send the id of one.`, {
    param: "after",
  });
}
