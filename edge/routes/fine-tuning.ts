/**
 * Fine-tuning jobs as OpenAI words them: GET /v1/fine_tuning/jobs, GET one, and POST its cancel, pause and resume.
 * One is created by create-tuning-job.ts.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { TuningJobId } from "#contract/training/tuning-job.ts";
import { keyOwner } from "../accounts/key-owner.ts";
import type { EdgeContext } from "../context.ts";
import { isOver, waitingMax } from "../fine-tuning/job-course.ts";
import { showJob, TuningJobObject } from "../fine-tuning/show-job.ts";
import type { TuningAnswer } from "../fine-tuning/tenant-tuning.ts";
import type { Metadata, TuningJob } from "../fine-tuning/tuning-job.ts";
import { validate } from "../http/validation.ts";

export const tuningPageMax = 1_000;

export const TuningJobList = z.object({
  object: z.literal("list").describe("What this is."),
  data: z.array(TuningJobObject).describe("The jobs, the newest first."),
  has_more: z.boolean().describe("Whether there are more."),
});

const Query = z.strictObject({
  limit: z.coerce.number().int().min(1).max(tuningPageMax).default(20),
  after: z.string().optional(),
  metadata: z.literal("null").optional(),
});

export function tuningOf(c: EdgeContext) {
  const tenant = keyOwner(c, "Fine-tuning jobs");
  return { tenant, tuning: c.env.TUNING.getByName(tenant) };
}

export function tooManyJobs(): CodedError {
  return new CodedError(
    "rate_limit_exceeded",
    `One fine-tuning job of a key runs at a time, and ${waitingMax} may wait. Wait for one to end, or cancel it.`,
  );
}

export async function listTuningJobs(c: EdgeContext): Promise<Response> {
  const { tuning } = tuningOf(c);
  const { wanted, rest } = splitQuery(c.req.query());
  const { limit, after = null, metadata } = validate(Query, rest);
  const before = after === null ? null : jobIdOf(after, "after");
  const page = await tuning.page({
    limit,
    after: before,
    metadata: metadata === "null" ? null : wanted,
  });
  if (page === null) throw jobNotFound("after");
  return c.json({
    object: "list",
    data: page.slice(0, limit).map(showJob),
    has_more: page.length > limit,
  } satisfies z.infer<typeof TuningJobList>);
}

/** `metadata[key]=value` beside the others. */
function splitQuery(query: Record<string, string>) {
  const wanted: [string, string][] = [];
  const rest: Record<string, string> = {};
  for (const [name, value] of Object.entries(query)) {
    const key = /^metadata\[(.{1,64})\]$/s.exec(name)?.[1];
    if (key === undefined) rest[name] = value;
    else wanted.push([key, value]);
  }
  const metadata: Metadata = Object.fromEntries(wanted);
  return { wanted: metadata, rest };
}

export async function getTuningJob(c: EdgeContext): Promise<Response> {
  return c.json(showJob((await findTuningJob(c)).job));
}

export function cancelTuningJob(c: EdgeContext): Promise<Response> {
  return changeJob(c, "cancel");
}

export function pauseTuningJob(c: EdgeContext): Promise<Response> {
  return changeJob(c, "pause");
}

export function resumeTuningJob(c: EdgeContext): Promise<Response> {
  return changeJob(c, "resume");
}

async function changeJob(c: EdgeContext, kind: "cancel" | "pause" | "resume"): Promise<Response> {
  const { tuning } = tuningOf(c);
  const answer: TuningAnswer = await tuning.change(jobIdOf(c.req.param("id") ?? ""), kind);
  if (answer === null) throw jobNotFound();
  if ("job" in answer) return c.json(showJob(answer.job));
  if (answer.refused === "no room") throw tooManyJobs();
  const why = isOver({ status: answer.refused }) ? hasEnded : cannot[kind];
  throw new CodedError("invalid_value", `The job is ${answer.refused}: ${why}`, { param: "id" });
}

const hasEnded = "it has ended, and stays as it is. Create another.";
const cannot = {
  cancel: hasEnded,
  pause:
    "only one that is queued, or in training, can be paused. Wait until it is checked or loaded, or cancel it.",
  resume: "only a paused one can be resumed. Leave it, or pause it first.",
} as const;

/** The id in an address. @throws CodedError `not_found` where it is none */
export function jobIdOf(text: string, param = "id"): TuningJobId {
  const id = TuningJobId.safeParse(text);
  if (!id.success) throw jobNotFound(param);
  return id.data;
}

export function jobNotFound(param = "id"): CodedError {
  return new CodedError(
    "not_found",
    "No such fine-tuning job. Jobs are kept for their key alone.",
    {
      param,
    },
  );
}

export async function findTuningJob(c: EdgeContext): Promise<{
  job: TuningJob;
  tuning: ReturnType<typeof tuningOf>["tuning"];
}> {
  const { tuning } = tuningOf(c);
  const job = await tuning.find(jobIdOf(c.req.param("id") ?? ""));
  if (job === null) throw jobNotFound();
  return { job, tuning };
}
